"""Opening a database: who may read the file, and how it is said that there is none."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from gateway.errors import GatewayError
from gateway.settings import Settings
from gateway.store import open_store

PASSWORD = "s3cret-of-the-database"


def settings(folder: Path, url: str | None = None) -> Settings:
    return Settings(data=folder / "data", database_url=url)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_is_made_in_the_data_folder_is_read_by_nobody_else(tmp_path: Path) -> None:
    open_store(settings(tmp_path)).close()
    folder = tmp_path / "data"
    assert mode(folder) == 0o700
    assert {path.name: mode(path) for path in folder.iterdir()} == {"gateway.db": 0o600, "secret.key": 0o600}


def test_the_log_beside_the_database_is_read_by_nobody_else(tmp_path: Path) -> None:
    store = open_store(settings(tmp_path))
    store.write_now(lambda tx: tx.last_seq())
    modes = {mode(path) for path in (tmp_path / "data").glob("gateway.db*")}
    store.close()
    assert modes == {0o600}


@pytest.mark.parametrize(
    "url",
    [
        f"mysql://user:{PASSWORD}@db.example/gateway",
        f"postgresql+other://user:{PASSWORD}@db.example/gateway",
        f"postgresql://user:{PASSWORD}@db.example:port/gateway",
        f"postgresql://user:{PASSWORD}@127.0.0.1:1/gateway",
        f"postgres://user:{PASSWORD}@127.0.0.1:1/gateway",
        f"postgresql://user:{PASSWORD}@@@/gateway",
    ],
)
def test_a_database_that_cannot_be_opened_is_said_without_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GatewayError) as refused:
        open_store(settings(tmp_path, url))
    assert "DATABASE_URL" in refused.value.message
    assert PASSWORD not in refused.value.message
    assert [path.name for path in tmp_path.iterdir()] == ["data"], "and no file is named after it"


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "gateway.db").write_bytes(b"something else " * 100)
    with pytest.raises(GatewayError, match=r"gateway\.db"):
        open_store(settings(tmp_path))
