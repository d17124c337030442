"""What is read for several jobs at once is what each would have read, also after another of the batch changed it."""

from __future__ import annotations

import asyncio

import pytest

from gateway.store import Changes, HeadUpdate, LinkRow, NewHead, NewVersion, RecordRow, Store, Tx


def add(tx: Tx, public_id: str) -> int:
    rid = tx.new_rid()
    row = RecordRow(0, "rest", "Patient", f"r-{public_id}", rid, 0, b"1")
    link = LinkRow(tx.new_id(), "rest", "Patient", f"r-{public_id}", rid, "{}", tx.now)
    version = NewVersion(rid, 1, "create", "rest", None, b'{"a":1}')
    tx.write(Changes(heads_new=[NewHead(rid, "Patient", public_id, rid)], versions=[version]))
    tx.write(Changes(records=[row], links=[link]))
    return rid


def seen(tx: Tx, rid: int) -> tuple[int, bytes | None, list[str], int]:
    [(head, body)] = tx.heads_and_patients([rid])
    states = [row.state.decode() for row in tx.records([rid]).get(rid, [])]
    return head.number, body, states, len(tx.links([rid]).get(rid, []))


def edit(tx: Tx, rid: int, number: int) -> None:
    version = NewVersion(rid, number, "update", "rest", None, b'{"a":2}')
    tx.write(Changes(heads_updated=[HeadUpdate(rid, number - 1, rid)], versions=[version]))


def say(tx: Tx, rid: int, state: bytes) -> None:
    [row] = tx.records([rid])[rid]
    tx.write(Changes(records=[row._replace(state=state)]))


def unlink(tx: Tx, rid: int) -> None:
    [link] = tx.links([rid])[rid]
    tx.write(Changes(links_undone=[link.link_id]))


def move(tx: Tx, rid: int, to: int) -> None:
    [row] = tx.records([rid])[rid]
    tx.write(Changes(records=[row._replace(rid=to)]))


async def together(store: Store, *jobs: tuple[int, object]) -> list[object]:
    """In one batch: the writer takes what waits while the first job holds it up."""
    started, go = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def hold(_: Tx) -> None:
        loop.call_soon_threadsafe(started.set)
        asyncio.run_coroutine_threadsafe(go.wait(), loop).result(10)

    holding = asyncio.create_task(store.write(hold))
    await started.wait()
    waiting = [asyncio.create_task(store.write(job, about=(rid,))) for rid, job in jobs]  # type: ignore[arg-type]
    await asyncio.sleep(0)
    go.set()
    await holding
    before = store.stats()["batches"]
    done = await asyncio.gather(*waiting)
    assert store.stats()["batches"] - before <= 1, "they were meant to share a batch"
    return list(done)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda tx, rid: None, (1, b'{"a":1}', ["1"], 1)),
        (lambda tx, rid: edit(tx, rid, 2), (2, b'{"a":2}', ["1"], 1)),
        (lambda tx, rid: say(tx, rid, b"2"), (1, b'{"a":1}', ["2"], 1)),
        (unlink, (1, b'{"a":1}', ["1"], 0)),
    ],
    ids=["nothing", "version", "record", "link"],
)
def test_a_job_sees_what_the_one_before_it_wrote(store: Store, change: object, expected: object):
    one, other = store.write_now(lambda tx: (add(tx, "1"), add(tx, "2")))
    jobs = [(one, lambda tx: change(tx, one)), (other, lambda tx: seen(tx, other)), (one, lambda tx: seen(tx, one))]  # type: ignore[operator]
    _, beside, after = asyncio.run(together(store, *jobs))
    assert beside == (1, b'{"a":1}', ["1"], 1)
    assert after == expected


def test_a_record_that_goes_to_another_resource_leaves_the_first(store: Store):
    one, other = store.write_now(lambda tx: (add(tx, "1"), add(tx, "2")))
    jobs = [
        (one, lambda tx: move(tx, one, other)),
        (one, lambda tx: seen(tx, one)),
        (other, lambda tx: seen(tx, other)),
    ]
    _, left, joined = asyncio.run(together(store, *jobs))
    assert left == (1, b'{"a":1}', [], 1)
    assert joined == (1, b'{"a":1}', ["1", "1"], 1)


def test_the_configuration_is_read_again_once_a_job_of_the_batch_changed_it(store: Store):
    store.write_now(lambda tx: tx.put_connector("rest", "{}"))

    def pause(tx: Tx) -> int:
        before = tx.connector_epoch()
        tx.set_connector_state("rest", "paused")
        return before

    before, after = asyncio.run(together(store, (1, pause), (2, lambda tx: tx.connector_epoch())))
    assert after > before
    assert store.query_now(lambda reader: reader.connector_epoch()) == after
