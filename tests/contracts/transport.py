"""The contract of a transport, as tests that every transport inherits."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from vstore.errors import CorruptError, InvalidError, KeyNotFoundError, RemoteUnavailableError
from vstore.remote.transport import Transport

# Contents that some client or server is known to cut or change.
HURTING = {
    "empty": b"",
    "every-byte": bytes(range(256)),
    "ends-in-cr": b"line\r",
    "multipart-boundary": b"before\n--==0==\nafter\n--==0==--",
    "gzip-magic": b"\x1f\x8b\x08\x00 not gzip",
    "megabytes": bytes(range(256)) * 12_289,
}

NOT_KEYS = [
    "",
    "/",
    "/etc/passwd",
    "packs/",
    "packs//x",
    "packs/../format.json",
    "..",
    ".",
    "./x",
    "packs/.hidden",
    ".vstore-tmp-0123456789abcdef",
    "PACKS/x",
    "packs/X",
    "a b",
    "a\\b",
    "a\0b",
    "a\n",
    "é",
    "a?b",
    "a%2fb",
    "-rf",
    "a" * 201,
    "/".join("abcdefghi"),
]


class TransportContract:
    """What holds for every transport.  A subclass has the fixture ``transport`` and the back door ``plant``."""

    clock_slack_s = 5.0
    """How far the store's clock may be from ours."""

    shows_leftovers = False
    """Whether a writer that dies may leave something under a temporary name, and the store lists it."""

    @pytest.fixture
    def transport(self) -> Transport:
        """An open transport to an empty place."""
        raise NotImplementedError

    def plant(self, transport: Transport, name: str, data: bytes) -> None:
        """Put an object into the store behind the back of the transport; ``name`` need not be a key."""
        raise NotImplementedError

    @pytest.mark.parametrize("content", HURTING.values(), ids=HURTING.keys())
    def test_what_was_written_is_read(self, transport: Transport, content: bytes) -> None:
        """Whatever the bytes are, the same come back, whole and by size."""
        transport.write("packs/x.vpack", content)
        assert transport.read("packs/x.vpack") == content
        assert transport.find_size("packs/x.vpack") == len(content)

    @pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
    def test_any_buffer_is_written(self, transport: Transport, kind: Callable[[bytes], bytes]) -> None:
        """A bytearray or a view is written as bytes are."""
        transport.write("a", kind(b"some bytes"))
        assert transport.read("a") == b"some bytes"

    def test_buffer_may_be_used_again(self, transport: Transport) -> None:
        """What the caller does to a buffer after writing it does not reach the store."""
        buffer = bytearray(b"first")
        transport.write("a", buffer)
        buffer[:] = b"later"
        assert transport.read("a") == b"first"

    def test_reading_gives_bytes(self, transport: Transport) -> None:
        """Reads return bytes proper, which can be hashed and kept."""
        transport.write("a", bytearray(b"abc"))
        assert type(transport.read("a")) is bytes
        assert type(transport.read_range("a", 0, 2)) is bytes

    def test_write_replaces(self, transport: Transport) -> None:
        """A second write leaves nothing of the first, in any answer."""
        transport.write("intents/a.json", b"a long first text")
        transport.write("intents/a.json", b"short")
        assert transport.read("intents/a.json") == b"short"
        assert transport.find_size("intents/a.json") == 5
        assert [(e.key, e.size_bytes) for e in transport.list("intents/")] == [("intents/a.json", 5)]

    def test_absent_object_is_said_to_be_absent(self, transport: Transport) -> None:
        """An absent object has no size, and reading it raises KeyNotFoundError naming the key."""
        transport.write("packs/there", b"x")
        for key in ("packs/absent", "absent", "packs/there/below"):
            assert transport.find_size(key) is None
            for read in (transport.read, lambda key: transport.read_range(key, 0, 1)):
                with pytest.raises(KeyNotFoundError) as caught:
                    read(key)
                assert caught.value.fields["key"] == key

    def test_folder_is_no_object(self, transport: Transport) -> None:
        """The folder of an object has neither size nor content."""
        transport.write("commits/p/s.json", b"{}")
        assert transport.find_size("commits/p") is None
        with pytest.raises(KeyNotFoundError):
            transport.read("commits/p")
        with pytest.raises(KeyNotFoundError):
            transport.read_range("commits/p", 0, 1)

    @pytest.mark.parametrize(("start", "length"), [(0, 10), (0, 1), (9, 1), (3, 4), (0, 0), (10, 0)])
    def test_range_is_exact(self, transport: Transport, start: int, length: int) -> None:
        """A range inside the object comes back to the byte."""
        transport.write("a", b"0123456789")
        assert transport.read_range("a", start, length) == b"0123456789"[start : start + length]

    @pytest.mark.parametrize(("start", "length"), [(0, 11), (9, 2), (10, 1), (11, 0), (100, 5), (0, 1 << 50)])
    def test_range_behind_the_end_is_damage(self, transport: Transport, start: int, length: int) -> None:
        """An object that ends inside the range is too short: never fewer bytes than were asked for."""
        transport.write("a", b"0123456789")
        with pytest.raises(CorruptError):
            transport.read_range("a", start, length)

    def test_range_of_an_empty_object(self, transport: Transport) -> None:
        """An empty object has one range, the empty one."""
        transport.write("a", b"")
        assert transport.read_range("a", 0, 0) == b""
        with pytest.raises(CorruptError):
            transport.read_range("a", 0, 1)

    def test_empty_range_of_an_absent_object(self, transport: Transport) -> None:
        """Asking for nothing of what is absent still says that it is absent."""
        transport.write("a", b"x")
        with pytest.raises(KeyNotFoundError):
            transport.read_range("b", 0, 0)

    @pytest.mark.parametrize(("start", "length"), [(-1, 1), (0, -1), (5, -5)])
    def test_negative_range_is_refused(self, transport: Transport, start: int, length: int) -> None:
        """Negative numbers are a mistake of the caller, not a way to count from the end."""
        transport.write("a", b"0123456789")
        with pytest.raises(InvalidError):
            transport.read_range("a", start, length)

    def test_listing_is_by_folder(self, transport: Transport) -> None:
        """A prefix lists what is below that folder, at any depth, and nothing that only begins alike."""
        for key in ("packs/a", "packs/b/c", "packs2/d", "format.json", "commits/p/s.json"):
            transport.write(key, key.encode())
        assert keys(transport, "packs/") == ["packs/a", "packs/b/c"]
        assert keys(transport, "commits/") == keys(transport, "commits/p/") == ["commits/p/s.json"]
        assert keys(transport, "") == ["commits/p/s.json", "format.json", "packs/a", "packs/b/c", "packs2/d"]

    def test_listing_of_an_absent_folder_is_empty(self, transport: Transport) -> None:
        """A folder in which nothing was ever written lists nothing, and so does an object taken for one."""
        transport.write("format.json", b"{}")
        assert keys(transport, "doomed/") == []
        assert keys(transport, "format.json/") == []

    @pytest.mark.parametrize("prefix", ["packs", "/", "../", "packs/ab", "Packs/", "packs//", "./"])
    def test_listing_takes_only_folders(self, transport: Transport, prefix: str) -> None:
        """A prefix that is not a folder is refused."""
        with pytest.raises(InvalidError):
            list(transport.list(prefix))

    def test_listing_of_a_beginning(self, transport: Transport) -> None:
        """What begins with a text is listed alone, in its folder and nowhere else."""
        for key in ("packs/ab-0", "packs/ab-1", "packs/abc-0", "packs/ac-0", "index/ab-0"):
            transport.write(key, key.encode())
        listed = sorted(transport.list_beginning("packs/ab-"))
        assert [(entry.key, entry.size_bytes) for entry in listed] == [("packs/ab-0", 10), ("packs/ab-1", 10)]
        assert listed == sorted(entry for entry in transport.list("packs/") if entry.key.startswith("packs/ab-"))
        assert list(transport.list_beginning("packs/ad-")) == []
        assert list(transport.list_beginning("doomed/ab-")) == []

    @pytest.mark.parametrize("start", ["packs/", "", "/ab", "../ab", "packs/A", "packs//ab", "packs/../ab"])
    def test_listing_of_a_beginning_takes_no_folder(self, transport: Transport, start: str) -> None:
        """A beginning without a name, or of no key, is refused."""
        with pytest.raises(InvalidError):
            list(transport.list_beginning(start))

    def test_listing_tells_size_and_date(self, transport: Transport) -> None:
        """A listing carries each size, and the store's own date of the last writing."""
        transport.write("a", b"old")
        before_s = time.time()
        transport.write("a", b"12345")
        (entry,) = transport.list("")
        assert entry.key == "a" and entry.size_bytes == 5
        assert before_s - self.clock_slack_s <= entry.modified_s <= time.time() + self.clock_slack_s

    def test_listing_follows_at_once(self, transport: Transport) -> None:
        """What was written or deleted shows in the next listing and the next question."""
        for _ in range(3):
            assert keys(transport, "doomed/") == []
            assert transport.find_size("doomed/x") is None
            transport.write("doomed/x", b"x")
            assert keys(transport, "doomed/") == ["doomed/x"]
            assert transport.find_size("doomed/x") == 1
            transport.delete("doomed/x")

    def test_listing_has_every_page(self, transport: Transport) -> None:
        """More objects than a server puts into one page are all listed, once each."""
        transport.write("packs/first", b"")
        expected = [f"packs/{number:04}" for number in range(2_050)]
        for name in expected:
            self.plant(transport, name, b"x")
        assert keys(transport, "packs/") == [*expected, "packs/first"]

    def test_strangers_are_not_listed(self, transport: Transport) -> None:
        """What is not a key of ours, such as somebody's notes or a half-written file, is not listed."""
        transport.write("packs/ours", b"x")
        for name in ("README.TXT", "packs/Notes", "packs/.vstore-tmp-00", "packs/a b", ".trash/x", "UP/x"):
            self.plant(transport, name, b"x")
        assert keys(transport, "") == keys(transport, "packs/") == ["packs/ours"]

    def test_sweep(self, transport: Transport) -> None:
        """What a writer that died left goes when it is old, where there can be such a thing; objects stay."""
        transport.write("packs/ours", b"x")
        names = (".vstore-tmp-00112233445566aa", "packs/.vstore-tmp-0123456789abcdef", "packs/.vstore-tmp-00")
        for name in names if self.shows_leftovers else ():
            self.plant(transport, name, b"x")
        assert transport.sweep(time.time() - 1000) == 0
        assert transport.sweep(time.time() + 1000) == (2 if self.shows_leftovers else 0)
        assert transport.sweep(time.time() + 1000) == 0
        assert keys(transport, "") == ["packs/ours"]

    def test_delete(self, transport: Transport) -> None:
        """A deleted object is absent, its neighbours stay, and deleting it again is fine."""
        transport.write("packs/a", b"x")
        transport.write("packs/b", b"x")
        transport.delete("packs/a")
        transport.delete("packs/a")
        transport.delete("never/was")
        assert transport.find_size("packs/a") is None
        assert keys(transport, "") == ["packs/b"]

    @pytest.mark.parametrize("key", NOT_KEYS)
    def test_only_keys_are_accepted(self, transport: Transport, key: str) -> None:
        """A name that is not a key is refused before anything is asked of the store."""
        calls: list[Callable[[], object]] = [
            lambda: transport.find_size(key),
            lambda: transport.read(key),
            lambda: transport.read_range(key, 0, 1),
            lambda: transport.write(key, b"x"),
            lambda: transport.delete(key),
        ]
        for call in calls:
            with pytest.raises(InvalidError):
                call()

    def test_many_threads_at_once(self, transport: Transport) -> None:
        """Threads that write, read, list and delete in fresh folders do not disturb each other."""

        def work(number: int) -> None:
            key, content = f"folder-{number % 5}/{number}", b"%d" % number * 1000
            transport.write(key, content)
            assert transport.read(key) == content
            assert transport.read_range(key, 10, 20) == content[10:30]
            assert key in keys(transport, "")
            if number % 2:
                transport.delete(key)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(40)))
        assert sorted(keys(transport, "")) == sorted(f"folder-{n % 5}/{n}" for n in range(0, 40, 2))

    def test_readers_never_see_half_a_write(self, transport: Transport) -> None:
        """While an object is replaced again and again, a reader finds one version or the other, whole."""
        versions = [bytes([number]) * (50_000 + number) for number in range(4)]
        transport.write("a", versions[0])

        def write_all() -> None:
            for _ in range(5):
                for version in versions:
                    transport.write("a", version)

        with ThreadPoolExecutor(1) as pool:
            writing = pool.submit(write_all)
            while not writing.done():
                assert transport.read("a") in versions
            writing.result()
        assert keys(transport, "") == ["a"]

    def test_closes_with_its_block(self, transport: Transport) -> None:
        """A transport is a context manager that gives itself."""
        with transport as same:
            assert same is transport


class PlainTransportContract(TransportContract):
    """What holds for a transport that does not promise to write only what is absent."""

    def test_refuses_what_it_cannot_promise(self, transport: Transport) -> None:
        """Rather than pretend, it says so in advance, refuses, and writes nothing."""
        assert not transport.can_write_if_absent
        with pytest.raises(RemoteUnavailableError):
            transport.write_if_absent("a", b"x")
        assert transport.find_size("a") is None


class WriteIfAbsentContract(TransportContract):
    """What holds for a transport that promises to write only what is absent."""

    def test_first_writer_is_kept(self, transport: Transport) -> None:
        """An object that is there stays; one that was deleted is absent again."""
        assert transport.can_write_if_absent
        assert transport.write_if_absent("a/b", b"first") is True
        assert transport.write_if_absent("a/b", b"second") is False
        assert transport.read("a/b") == b"first"
        transport.delete("a/b")
        assert transport.write_if_absent("a/b", b"third") is True
        assert transport.read("a/b") == b"third"
        assert keys(transport, "") == ["a/b"]

    def test_one_of_many_writers_wins(self, transport: Transport) -> None:
        """Of several writers of one absent object, exactly one is told that it wrote, and its bytes are there."""
        with ThreadPoolExecutor(8) as pool:
            for key in ("r1", "r2", "r3"):
                writing = [pool.submit(transport.write_if_absent, key, b"%d" % number) for number in range(8)]
                won = [future.result() for future in writing]
                assert won.count(True) == 1
                assert transport.read(key) == b"%d" % won.index(True)

    @pytest.mark.parametrize("key", NOT_KEYS)
    def test_only_keys_are_written_if_absent(self, transport: Transport, key: str) -> None:
        """A name that is not a key is refused here too."""
        with pytest.raises(InvalidError):
            transport.write_if_absent(key, b"x")


def keys(transport: Transport, prefix: str) -> list[str]:
    """Return the listed keys, sorted; a key that comes twice stays twice."""
    return sorted(entry.key for entry in transport.list(prefix))
