"""Uploading a folder to the Hugging Face Hub."""

import os
from pathlib import Path

from huggingface_hub import HfApi, ModelCard
from huggingface_hub.errors import HfHubHTTPError, HTTPError, LocalTokenNotFoundError, OfflineModeIsEnabled
from huggingface_hub.utils import DEFAULT_IGNORE_PATTERNS, filter_repo_objects

from .errors import InputError


IGNORED = list(DEFAULT_IGNORE_PATTERNS)


def upload_plan(folder: str | os.PathLike, repository: str) -> str:
    """What `push_folder` would upload, in words: the files with their sizes, and the metadata of the card."""
    files = files_to_upload(folder)
    rows = [f"{size / 1e6:10.3f} MB  {name}" for name, size in files.items()]
    card = ModelCard.load(Path(folder) / "README.md")
    return "\n".join(
        [
            f"{len(files)} files for https://huggingface.co/{repository}:",
            *rows,
            f"{sum(files.values()) / 1e6:10.3f} MB  in all",
            "Metadata of the model card:",
            *(f"    {line}" for line in card.data.to_yaml().splitlines()),
        ]
    )


def files_to_upload(folder: str | os.PathLike) -> dict[str, int]:
    """The files of a folder that go to the Hub, and their sizes in bytes."""
    folder = Path(folder)
    names = (path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file())
    return {name: (folder / name).stat().st_size for name in filter_repo_objects(names, ignore_patterns=IGNORED)}


def push_folder(folder: str | os.PathLike, repository: str, private: bool = False) -> str:
    """
    Uploads a folder as a model, which is made if it is not there yet.

    Args:
        repository: `owner/name`.
        private: Whether only its owner can see a model that is made.

    Returns:
        Its address.

    Raises:
        InputError: says why it cannot be uploaded, and what to do.
    """
    api = HfApi()
    where = f"{repository} was not uploaded; the folder {folder} is written"
    try:
        url = api.create_repo(repository, private=private or None, exist_ok=True)
        api.upload_folder(
            repo_id=repository, folder_path=folder, commit_message="Upload model", ignore_patterns=IGNORED
        )
    except LocalTokenNotFoundError as error:
        raise InputError(f"{where}. There is no token: log in with `hf auth login`, or set HF_TOKEN.") from error
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else None
        remedy = {
            401: "The Hub does not know the token: log in with `hf auth login`, or set HF_TOKEN",
            403: f"The token may not write to {repository}: make one that may, on https://huggingface.co/settings/tokens",
        }
        reason = str(error).strip().partition("\n")[0]
        raise InputError(f"{where}. {remedy.get(status, 'The Hub refused it')}. ({reason})") from error
    except OfflineModeIsEnabled as error:
        raise InputError(f"{where}. HF_HUB_OFFLINE is set: unset it, or see --dry-run.") from error
    except (HTTPError, ConnectionError, TimeoutError) as error:  # HTTPError is that of its HTTP client
        raise InputError(f"{where}. The Hub is not in reach: try again with a network. ({error})") from error
    return str(url)
