# SPDX-License-Identifier: BSD-3-Clause
"""Settings, from the environment or from a file; all have defaults that work.

``SLIDEGATE_HOME`` and so on, or ``home = …`` in the TOML file that ``SLIDEGATE_SETTINGS`` names; without it,
in ``settings.toml`` in the home. The environment wins. Neither ever holds a secret.
"""

import getpass
import os
import re
import sys
from pathlib import Path
from typing import Literal

from platformdirs import user_data_path
from pydantic import Field, field_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from slidegate.domain.shelf_names import OMERO, SHELF

_DATABASES = ("sqlite:///", "postgresql+psycopg://")


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
    database_url: str | None = Field(
        default=None,
        description="The database: `postgresql+psycopg://USER@HOST/NAME`, or `postgresql+psycopg:///NAME` on "
        "this computer. A password of it is in `~/.pgpass`, never here. Without it, SQLite in the home.",
    )
    shelves: dict[str, Path] = Field(
        default_factory=dict,
        description='The folders of images that the pages offer, by name: `{"slides": "/data/slides"}`.',
    )
    results: Path | None = Field(
        default=None,
        description="Where results go of runs that were asked for in the pages, a folder per person. "
        "Without it, `results` in the home.",
    )
    cache_dir: Path | None = Field(
        default=None,
        description="Where pictures are kept that the pages show; all in it can be made again. Without it, "
        "`cache` in the home.",
    )
    cache_gb: float = Field(
        default=50.0,
        gt=0,
        description="How large that may become, in GB; what was used longest ago goes first.",
    )
    public_url: str | None = Field(
        default=None,
        description="What people type to reach the pages: `https://slidegate.example.org`.",
    )
    trusted_proxies: list[str] = Field(
        default_factory=list,
        description='The addresses of the TLS proxies in front of the api: `["127.0.0.1"]`. Only they are '
        "believed when they say whom they speak for.",
    )
    allow_private_webhooks: bool = Field(
        default=False,
        description="Whether a webhook may go to an address inside your own network.",
    )
    omero_host: str | None = Field(
        default=None,
        description="The OMERO whose people use this server: images there are analysed for them and get the "
        "results. Without it, this server knows no OMERO.",
    )
    omero_port: int = Field(
        default=4064, ge=1, le=65535, description="The port of its encrypted connections."
    )
    omero_ca: Path | None = Field(
        default=None,
        description="The certificates (PEM) that may sign OMERO's; without it, those that this computer "
        "trusts.",
    )
    omero_role: Literal["viewer", "researcher", "lead"] = Field(
        default="researcher",
        description="What people of OMERO may do here once they come: viewer, researcher or lead. "
        "An administrator makes others of them.",
    )
    omero_account: Path | None = Field(
        default=None,
        description="The file with the account that acts for people in OMERO, which the worker alone reads. "
        "Without it, people permit slidegate to act for them by their password, once.",
    )
    omero_labels: bool = Field(
        default=False,
        description="Whether label images are attached to images in OMERO, too, as zipped OME-Zarr.",
    )
    omero_tags: tuple[str, ...] = Field(
        default=(),
        description='Tags that images in OMERO get with their result: `["nuclei counted"]`.',
    )

    @field_validator("database_url")
    @classmethod
    def _holds_no_password(cls, url: str | None) -> str | None:
        if url is None:
            return None
        if not url.startswith(_DATABASES):
            raise ValueError(f"it begins with {' or '.join(_DATABASES)}")
        user, at, _host = url.partition("://")[2].partition("@")
        if (at and ":" in user) or "password=" in url:
            raise ValueError(
                "it holds a password: keep that in ~/.pgpass, or let PostgreSQL know the account"
            )
        return url

    @field_validator("shelves")
    @classmethod
    def _are_named_plainly(cls, shelves: dict[str, Path]) -> dict[str, Path]:
        for name, folder in shelves.items():
            if not SHELF.fullmatch(name):
                raise ValueError(f"a shelf is named by small letters, digits, - and _, not {name!r}")
            if name == OMERO:
                raise ValueError("no shelf is called omero: images in OMERO are named so")
            if not folder.is_absolute():
                raise ValueError(f"the folder of the shelf {name} is named from /, not {str(folder)!r}")
        return shelves

    @field_validator("omero_host")
    @classmethod
    def _is_a_name(cls, host: str | None) -> str | None:
        if host is not None and not re.fullmatch("[A-Za-z0-9.:_-]{1,253}", host):
            raise ValueError("it is the name of a computer, as omero.example.org")
        return host or None

    @field_validator("omero_ca", "omero_account")
    @classmethod
    def _is_named_from_the_top(cls, path: Path | None) -> Path | None:
        if path is not None and not path.is_absolute():
            raise ValueError(f"the file is named from /, not {str(path)!r}")
        return path

    @field_validator("public_url")
    @classmethod
    def _is_an_address(cls, url: str | None) -> str | None:
        if url is not None and not re.fullmatch("https?://[A-Za-z0-9.:-]+(/[A-Za-z0-9._~/-]*)?", url):
            raise ValueError("it is written as https://slidegate.example.org")
        return url.rstrip("/") if url else None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Look into what the program says, then into the environment, then into the file."""
        said = init_settings.init_kwargs if isinstance(init_settings, InitSettingsSource) else {}
        home = said.get("home") or os.environ.get("SLIDEGATE_HOME") or user_data_path("slidegate")
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, settings_file(Path(home)))

    @property
    def database(self) -> str:
        """The URL of the store."""
        return self.database_url or f"sqlite:///{self.home.absolute() / 'slidegate.db'}"

    @property
    def database_file(self) -> Path | None:
        """The file that the store is, None where it is no file."""
        if not self.database.startswith("sqlite:///"):
            return None
        return Path(self.database.removeprefix("sqlite:///"))

    @property
    def cache(self) -> Path:
        """Where pictures are kept that the pages show."""
        return (self.cache_dir or self.home / "cache").absolute()

    @property
    def results_dir(self) -> Path:
        """Where results go of Runs that were asked for in the pages."""
        return (self.results or self.home / "results").absolute()

    @property
    def omero_grants(self) -> Path:
        """Where the sessions are kept, encrypted, that people of OMERO have granted."""
        return self.home.absolute() / "omero-grants"

    @property
    def omero_grants_key(self) -> Path:
        """The file with the key to them, and to what people send of it."""
        return self.home.absolute() / "omero-grants.key"

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


def settings_file(home: Path) -> Path:
    """Return the file that settings are read from, which need not be there."""
    named = os.environ.get("SLIDEGATE_SETTINGS")
    return Path(named) if named else home / "settings.toml"


def _person() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
