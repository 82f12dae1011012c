import pytest

from aeutils import files


def test_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    page = tmp_path / "index.html"
    files.write_whole(page, "first")
    monkeypatch.setattr(files.os, "replace", lambda *arguments: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError):
        files.write_whole(page, "second")
    assert page.read_text() == "first" and [path.name for path in tmp_path.iterdir()] == ["index.html"]


def test_block_that_fails_leaves_the_earlier_file(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"first")
    with pytest.raises(KeyboardInterrupt), files.replacing(path) as temporary:
        temporary.write_bytes(b"half")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"first" and list(tmp_path.iterdir()) == [path]
