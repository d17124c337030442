"""Settings: everything an operator may set, from the environment (prefix `GATEWAY_`) or a `.env` file."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

SCHEDULE = (0.0, 5.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0, 50400.0, 72000.0, 86400.0)


class Settings(BaseSettings):
    """Read once at start-up; nothing else reads the environment."""

    model_config = SettingsConfigDict(env_prefix="GATEWAY_", env_file=".env", extra="ignore", frozen=True)

    data: Path = Field(Path("data"), description="Folder of the embedded database and the key file")
    database_url: str | None = Field(
        None,
        repr=False,
        validation_alias=AliasChoices("DATABASE_URL", "GATEWAY_DATABASE_URL", "database_url"),
        description="postgresql://user@host/name; without it SQLite in the data folder",
    )
    public_url: str = Field(
        "http://127.0.0.1:8000",
        description="Where others reach us; part of our own identifiers, so it does not follow the port: set it once",
    )
    host: str = Field("127.0.0.1", description="Address to listen on")
    port: int = Field(8000, description="Port to listen on; 0 takes any free one", ge=0, le=65_535)
    secret_key: str | None = Field(
        None, repr=False, description="Fernet keys, newest first, comma separated; else a key file"
    )
    shared: Path | None = Field(None, description="Folder of reference corpora, for tests and conversions only")
    max_bytes: int = Field(50_000_000, description="Largest body that is read, bytes", gt=0)
    retry_schedule: Annotated[tuple[float, ...], NoDecode] = Field(SCHEDULE, description="Waits before each attempt, s")
    lease: float = Field(30.0, description="How long a worker may hold a delivery without renewing, seconds", gt=0)
    delivery_timeout: float = Field(30.0, description="How long a partner may take to answer, seconds", gt=0)
    delivery_concurrency: int = Field(16, description="Patients worked on at once on each system", ge=1)
    breaker_failures: int = Field(
        5, description="Failures in a row after which a system is left alone for a while", ge=1
    )
    breaker_pause: float = Field(5.0, description="The first such while, seconds; doubled up to 300 by failed probes")
    loop_writes: int = Field(
        50, description="Writes of one resource to one system in an hour that stop its patient there"
    )
    deliver: bool = Field(True, description="Whether this process runs the delivery worker, polls, queues and syncs")
    look_every: float = Field(1.0, description="How often to look for polls and syncs that are due, seconds")
    convert_processes: int = Field(
        1, description="Worker processes for documents; 0 converts in the server process", ge=0
    )
    convert_seconds: float = Field(60.0, description="How long a worker process may take for one document, seconds")
    convert_bytes: int = Field(
        100_000_000, description="Documents that may be read and converted at once, bytes; beyond it the answer is 503"
    )
    body_bytes: int = Field(
        100_000_000, description="FHIR bodies over 1 MB that may be read and applied at once, bytes; beyond it: 503"
    )
    audit_strict: bool = Field(False, description="Whether a read waits for its audit row")
    clock_tolerance: float = Field(120.0, description="How far partners' clocks may be off, seconds")
    webhook_tolerance: float = Field(300.0, description="How old a signed webhook may be, seconds")
    allow_networks: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Private networks where any connector's system may be, such as 10.1.0.0/16, comma separated"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="DEBUG, INFO, WARNING or ERROR")

    @field_validator("retry_schedule", mode="before")
    @classmethod
    def _numbers(cls, value: object) -> object:
        return tuple(float(part) for part in value.split(",")) if isinstance(value, str) else value

    @field_validator("allow_networks", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        named = [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value
        return tuple(str(ip_network(one)) for one in named) if isinstance(named, (list, tuple)) else named

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator("public_url")
    @classmethod
    def _address(cls, value: str) -> str:
        """Without a slash at the end."""
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("it must be an http or https address, such as https://gateway.example")
        return value.rstrip("/")

    @property
    def is_elsewhere(self) -> bool:
        """Whether what we hand out says another port than the one listened to, and nobody said that this is so."""
        return "public_url" not in self.model_fields_set and urlsplit(self.public_url).port != self.port

    @property
    def fhir_base(self) -> str:
        """Our FHIR base; `{fhir_base}/Patient` is the identifier system of our own Patient ids."""
        return f"{self.public_url}/fhir"

    @property
    def database(self) -> str:
        return self.database_url or f"sqlite:///{self.data / 'gateway.db'}"

    @property
    def tolerance(self) -> timedelta:
        return timedelta(seconds=self.clock_tolerance)
