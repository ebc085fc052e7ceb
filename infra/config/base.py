"""The base of every configuration section."""

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Section(BaseModel):
    """A part of the configuration: camelCase keys, unknown keys refused, frozen, strict, inputs hidden in errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True, alias_generator=to_camel)
