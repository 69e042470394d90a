"""HTR-ConvText: handwritten text recognition in the Hugging Face ecosystem."""

from pathlib import Path

from setuptools import find_packages, setup


# What reading lines needs is in `install_requires`; pages need more.
PAGES = ["lxml>=5.0", "onnxruntime>=1.20", "pypdfium2>=5.0", "rapidocr>=3.10", "reportlab>=4.2", "shapely>=2.0"]
SPACE = [*PAGES, "gradio>=6.0"]
# Training, measuring and preparing data do.
TRAIN = [
    "accelerate>=1.1",
    "datasets>=4.0",
    "evaluate>=0.4.6",
    "fonttools>=4.50",
    "jinja2>=3.1",
    "jiwer>=4.0",
    "kornia>=0.8.2",
    "lmdb>=1.4",
    "lxml>=5.0",
    "matplotlib>=3.8",
    "pandas>=2.2",
    "pyyaml>=6.0",
    "rapidfuzz>=3.0",
    "regex",
    "scipy>=1.11",
    "tensorboard>=2.16",
]

setup(
    name="htr-convtext",
    version="0.1.0",
    description="Handwritten text recognition with HTR-ConvText, compatible with Hugging Face Transformers",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license_expression="Apache-2.0",
    license_files=["LICENSE", "htr_convtext/fonts/OFL.txt"],
    keywords=["handwritten text recognition", "HTR", "OCR", "CTC", "PAGE-XML", "ALTO", "transformers"],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Console",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: Image Recognition",
        "Typing :: Typed",
    ],
    python_requires=">=3.10",
    packages=find_packages(include=["htr_convtext*", "modeling_*", "processing"]),
    package_data={
        "": ["*.pyi"],
        "htr_convtext": ["py.typed", "evaluation/templates/*", "fonts/*", "weights/*/*", "weights/*/*/*"],
    },
    entry_points={"console_scripts": ["htr = htr_convtext.cli:main"]},
    install_requires=[
        "flashlight-text>=0.0.7; python_version < '3.13'",
        "httpx>=0.27",
        "lazy_loader>=0.4",
        "numpy>=2.0",
        "pillow>=11.0",
        "safetensors>=0.5",
        "torch>=2.6",
        "tqdm",
        "transformers>=5.18,<6",
        "ufal-flashlight-text>=0.0.7.1; python_version >= '3.13'",  # the same, kept up by others
    ],
    extras_require={
        "train": TRAIN,
        "pages": PAGES,
        "space": SPACE,
        "dev": [
            *TRAIN,
            *SPACE,
            "build>=1.2",
            "pytest>=8.0",
            "pytest-xdist>=3.6",
            "ruff>=0.14",
            "selenium>=4.20",
            "setuptools>=77",
            "twine>=6.1",
        ],
        "peer": ["parameterized"],
    },
)
