"""Writing the model card of a folder, `README.md`, and its results for the Hub's leaderboards, `.eval_results/`."""

import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

from huggingface_hub import ModelCard, ModelCardData, eval_result_entries_to_yaml
from huggingface_hub.utils import yaml_dump
from safetensors import SafetensorError, safe_open
from transformers import PreTrainedModel
from transformers.utils import cached_file, logging
from yaml import YAMLError

from .model_card_text import RESULTS, ModelDescription, card_text, results_section
from .model_facts import HUB_ID, TASK, ModelFacts, unique


CARD = "README.md"
WEIGHTS = "model.safetensors"
EVAL_RESULTS = ".eval_results"
CODE_BLOCK = re.compile(r"(^```.*?^```|^~~~.*?^~~~)", flags=re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^()\s]+)\)")
logger = logging.get_logger(__name__)


def write_model_card(
    folder: str | os.PathLike, model: PreTrainedModel, description: ModelDescription, facts: ModelFacts | None = None
) -> ModelFacts:
    """
    Writes `README.md`, and for the sets that are on the Hub `.eval_results/*.yaml`.

    A card of the model that the weights come from (`facts.sources`) is carried on. If the weights are the same, all of
    it: a text that somebody wrote stays as it is, with the local files that it shows; a text that was written here is
    written anew with the new facts. If they are others, its results are not theirs: what stays is the language,
    licence, data and base model, as far as nothing else is given. A folder that has these very weights already keeps
    its own card in the same way.

    To be called before the weights are saved to the folder: what is there is compared with them.

    Args:
        facts: What is known; see there.

    Returns:
        The facts that the card has now.
    """
    given = facts or ModelFacts()
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    loaded_from = (str(model.name_or_path),) if model.name_or_path else ()
    sources = loaded_from if given.sources is None else given.sources
    if (folder / CARD).is_file() and has_weights_of(model, folder):
        sources = (str(folder),)
    given = replace(given, language_models=description.language_models)
    revision = getattr(model.config, "_commit_hash", None) if sources == loaded_from else None
    cards = {source: _read_card(source, revision) for source in sources}
    known = {source: ModelFacts.of_card(card.data) for source, card in cards.items() if card is not None}
    given = replace(given, sources=None)

    text, data = None, ModelCardData()
    if len(sources) == 1 and known and has_weights_of(model, sources[0], revision):
        (source,), (before,) = sources, known.values()
        card, data = cards[source], cards[source].data
        now = before.updated(given)
        if card.text.strip() != card_text(before, description).strip():  # somebody has written it
            text = _with_results(_carry_files(card.text, source, folder, revision), given)
        if _is_other_folder(source, folder):
            _carry_hub_results(source, folder)
    else:
        now = _of_trained_further(given, known, sources)
        shutil.rmtree(folder / EVAL_RESULTS, ignore_errors=True)  # of other weights
    now = replace(now, name=now.name or _folder_name(folder), language_models=description.language_models)

    now.write_into(data)
    data["library_name"] = data.get("library_name", "transformers")
    data["pipeline_tag"] = data.get("pipeline_tag", TASK)
    data["tags"] = list(unique([*(data.get("tags") or []), *description.tags]))
    replaced = {result.key for result in given.results}
    kept = [each for each in data.get("eval_results") or [] if (each.dataset_name, each.dataset_split) not in replaced]
    results = kept + [each for result in given.results for each in result.to_eval_results()]
    if results:
        data["eval_results"] = results
        data["metrics"] = list(unique([*(data.get("metrics") or []), *(each.metric_type for each in results)]))
    text = card_text(now, description) if text is None else text
    part = folder / f"{CARD}.part"
    ModelCard(f"---\n{data.to_yaml()}\n---\n\n{text.lstrip()}").save(part)
    part.replace(folder / CARD)
    _write_hub_results(now, given, folder)
    return now


def has_weights_of(model: PreTrainedModel, source: str | os.PathLike, revision: str | None = None) -> bool:
    """Whether the weights of a model are those saved in a folder or on the Hub, in the coarser precision of both."""
    path = find_file(source, WEIGHTS, revision)
    if path is None:
        return False
    try:
        with safe_open(path, framework="pt") as saved:
            names = set(saved.keys())
            for name, tensor in model.state_dict().items():
                if not tensor.is_floating_point():  # counters of batches, which reading does not need
                    continue
                if name not in names:
                    return False
                other = saved.get_tensor(name)
                coarser = min(tensor.dtype, other.dtype, key=lambda dtype: dtype.itemsize)
                if not tensor.cpu().to(coarser).equal(other.to(coarser)):
                    return False
    except SafetensorError:
        return False
    return True


def find_file(source: str | os.PathLike, name: str, revision: str | None = None) -> Path | None:
    """A file of a folder or of a model on the Hub, or `None` if it has none or is not in reach."""
    if Path(source).is_dir():
        return path if (path := Path(source, name)).is_file() else None
    if not HUB_ID.fullmatch(str(source)):
        return None
    try:
        return Path(cached_file(str(source), name, revision=revision))
    except OSError:
        return None


def _read_card(source: str | os.PathLike, revision: str | None) -> ModelCard | None:
    path = find_file(source, CARD, revision)
    if path is None:
        return None
    try:
        return ModelCard(path.read_text(encoding="utf-8-sig"), ignore_metadata_errors=True)
    except (ValueError, TypeError, YAMLError) as error:
        reason = str(error).partition("\n")[0]
        logger.warning(f"{path}: its metadata cannot be read; the new card says nothing of it. ({reason})")
        return None


def _of_trained_further(given: ModelFacts, known: dict[str, ModelFacts], sources: tuple[str, ...]) -> ModelFacts:
    """What holds of weights that were made from those of other models."""
    before = list(known.values())
    together = {
        name: unique(value for each in before for value in getattr(each, name))
        for name in ("language", "datasets", "training_sets", "base_model")
    }
    licenses = {each.license for each in before}
    on_hub = tuple(source for source in sources if not Path(source).is_dir() and find_file(source, "config.json"))
    inherited = ModelFacts(
        **{**together, "base_model": on_hub or together["base_model"]},
        license=licenses.pop() if len(licenses) == 1 and len(before) == len(sources) else None,
    )
    notes = []
    for source, each in known.items():
        name = each.name or (source if source in on_hub else _folder_name(Path(source)))
        without = " What its card says was measured with other weights and is not repeated here."
        notes.append(f"Made from the weights of `{name}`.{without if each.results else ''}")
    return replace(inherited.updated(given), notes=unique([*given.notes, *notes]))


def _folder_name(folder: Path) -> str:
    """The name of a folder; of `best` and checkpoints that of the run."""
    folder = folder.resolve()
    return folder.parent.name if re.fullmatch(r"best|checkpoint-\d+", folder.name) else folder.name


def _is_other_folder(source: str | os.PathLike, folder: Path) -> bool:
    return Path(source).resolve() != folder.resolve()


def _with_results(text: str, given: ModelFacts) -> str:
    """A text that somebody wrote, with a section on what was measured since."""
    if not given.results:
        return text
    section = "\n\n".join([RESULTS, *results_section(given)])
    old = re.compile(rf"^{RESULTS}\n.*?(?=^## |\Z)", flags=re.MULTILINE | re.DOTALL)
    return old.sub(lambda _: section + "\n\n", text) if old.search(text) else f"{text.rstrip()}\n\n{section}\n"


def _carry_files(text: str, source: str | os.PathLike, folder: Path, revision: str | None) -> str:
    """Copies the files that a text shows or links; what is not in its folder loses its link, or goes if a picture."""

    def carried(match: re.Match) -> str:
        picture, words, target = match.groups()
        if re.match(r"#|//|[a-zA-Z][a-zA-Z0-9+.-]*:", target):
            return match[0]
        name = target.partition("#")[0]
        inside = not Path(name).is_absolute() and ".." not in Path(name).parts
        file = find_file(source, name, revision) if inside else None
        if file is None:
            return "" if picture else words
        if _is_other_folder(source, folder):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, folder / name)
        return match[0]

    pieces = CODE_BLOCK.split(text)
    return "".join(piece if index % 2 else LINK.sub(carried, piece) for index, piece in enumerate(pieces))


def _carry_hub_results(source: str | os.PathLike, folder: Path) -> None:
    """Copies `.eval_results/`: of the same weights, though perhaps not written here."""
    shutil.rmtree(folder / EVAL_RESULTS, ignore_errors=True)
    if Path(source, EVAL_RESULTS).is_dir():
        shutil.copytree(Path(source, EVAL_RESULTS), folder / EVAL_RESULTS)


def _write_hub_results(facts: ModelFacts, given: ModelFacts, folder: Path) -> None:
    """One file for each set that is on the Hub; others have no leaderboard there. What was carried stays."""
    for result in facts.results:
        entry = result.to_hub_entry()
        if entry is None:
            continue
        path = folder / EVAL_RESULTS / f"{entry.dataset_id.replace('/', '--')}.yaml"
        if result in given.results or not path.exists():
            path.parent.mkdir(exist_ok=True)
            path.write_text(yaml_dump(eval_result_entries_to_yaml([entry])), encoding="utf-8")
