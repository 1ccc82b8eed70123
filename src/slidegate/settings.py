# SPDX-License-Identifier: BSD-3-Clause
"""Settings, from the environment: ``SLIDEGATE_HOME`` and so on. All have defaults that work."""

import getpass
import os
import sys
from pathlib import Path

from platformdirs import user_data_path
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Where things are and who asks."""

    model_config = SettingsConfigDict(env_prefix="SLIDEGATE_", env_ignore_empty=True, extra="ignore")

    home: Path = Field(
        default_factory=lambda: user_data_path("slidegate"),
        description="Where runs, the embedded site and everything else is kept.",
    )
    workflows_dir: Path = Field(
        default=Path(sys.prefix) / "share" / "slidegate" / "workflows",
        description="Workflows that the embedded site installs: one folder each, with its wheels.",
    )
    person: str = Field(
        default_factory=lambda: _person(),
        description="Who asks for runs; equal requests of one person are one run.",
    )
    cores: int = Field(
        default_factory=lambda: len(os.sched_getaffinity(0)),
        ge=1,
        le=1024,
        description="How many cores the embedded site uses; taken when it is first set up.",
    )
    python: Path = Field(
        default=Path(sys.executable),
        description="The interpreter that runs the embedded site and builds what its workflows run in.",
    )

    @property
    def database(self) -> str:
        """The URL of the store."""
        return f"sqlite:///{self.home.absolute() / 'slidegate.db'}"

    @property
    def local_site(self) -> Path:
        """The home of the embedded site's gate."""
        return self.home.absolute() / "sites" / "local"

    def local_program(self, *words: str) -> list[str]:
        """Return the argument list that runs the embedded site's gate: `words` say as what."""
        return [
            str(self.python),
            "-IS",
            str(self.local_site / "current"),
            *words,
            "--home",
            str(self.local_site),
        ]


def _person() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
