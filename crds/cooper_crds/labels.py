"""Labels, annotations and finalizers as Kubernetes takes them, so that no manifest works without a cluster only."""

from typing import Annotated, Any, Final, cast

from pydantic import AfterValidator, BeforeValidator, Field

from cooper_crds.names import is_label_value, is_qualified_name
from cooper_crds.problems import shown

#: "The total size of annotations must not exceed 256 KiB" (Kubernetes, ObjectMeta validation).
MAX_ANNOTATIONS_BYTES: Final = 256 << 10

_NAME: Final = (
    "has at most 63 letters, digits, hyphens, underscores and periods, and begins and ends with a letter or digit"
)
_KEY: Final = f"must be a name, perhaps after a DNS name and a slash, such as cooper.dev/name; a name {_NAME}"


def _null_is_empty(value: Any) -> Any:
    """A label or annotation that YAML leaves without a value is one with an empty value."""
    if not isinstance(value, dict):
        return value
    return {key: "" if text is None else text for key, text in cast(dict[Any, Any], value).items()}


def _labels(value: dict[str, str]) -> dict[str, str]:
    for key, text in value.items():
        _check_key(key, key)
        if not is_label_value(text):
            raise ValueError(f"{shown(key)}: the value of a label may be empty, or {_NAME} (got {shown(text)})")
    return value


def _annotations(value: dict[str, str]) -> dict[str, str]:
    for key in value:
        _check_key(key, key.lower())  # the one place where a prefix may have capitals
    if sum(len(key.encode()) + len(text.encode()) for key, text in value.items()) > MAX_ANNOTATIONS_BYTES:
        raise ValueError("must not exceed 256 KiB in total")
    return value


def _finalizers(value: list[str]) -> list[str]:
    for each in value:
        _check_key(each, each)
    return value


def _check_key(given: str, checked: str) -> None:
    if not is_qualified_name(checked):
        raise ValueError(f"{shown(given)} {_KEY}")


_Texts = Annotated[dict[str, str], BeforeValidator(_null_is_empty), Field(max_length=1024)]

Labels = Annotated[_Texts, AfterValidator(_labels)]
Annotations = Annotated[_Texts, AfterValidator(_annotations)]
Finalizers = Annotated[list[Annotated[str, Field(max_length=317)]], Field(max_length=256), AfterValidator(_finalizers)]
