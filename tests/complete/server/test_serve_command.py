"""`fixer-complete --serve` as its owner starts and stops it."""

import os
import re
import signal
import socket
import subprocess
import sys

import httpx2
import pytest

from pipelines.complete.cli import main
from pipelines.complete.server.command import ServeCommand
from pipelines.complete.server.hosts import Hosts

pytest.importorskip("uvicorn")


def test_it_says_where_it_is_serves_and_leaves_nothing_behind(tiny_checkpoint, tmp_path) -> None:
    command = [sys.executable, "-m", "pipelines.complete.cli", "--serve", "--checkpoint", str(tiny_checkpoint)]
    environment = {**os.environ, "TMPDIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
    allowed = ["--port", "0", "--allow-host", "Fixer.example"]
    process = subprocess.Popen([*command, *allowed], stderr=subprocess.PIPE, text=True, env=environment)
    try:
        said = ""
        while not (place := re.search(r"open (http://127\.0\.0\.1:\d+)/", said)):
            line = process.stderr.readline()
            assert line, said
            said += line
        assert "random weights, never trained (tests)" in said
        assert "answers to localhost, fixer.example; --allow-host NAME adds others" in process.stderr.readline()
        with httpx2.Client(base_url=place[1]) as client:
            assert client.get("/api/about").json()["checkpoint"] == "random weights, never trained (tests)"
            assert client.get("/api/about", headers={"host": "fixer.example"}).status_code == 200
            assert client.get("/api/about", headers={"host": "other.example"}).status_code == 421
            client.post("/api/jobs", content=b"nonsense")
        assert [one for one in tmp_path.iterdir() if one.name.startswith("fixer-complete-")]
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
    assert not [one for one in tmp_path.iterdir() if one.name.startswith("fixer-complete-")]


@pytest.mark.parametrize(
    ("options", "place", "names"),
    [
        ({}, "http://127.0.0.1:80/", "localhost; --allow-host NAME adds others"),
        ({"host": "::1"}, "http://[::1]:80/", "localhost; --allow-host NAME adds others"),
        ({"host": "0.0.0.0"}, "http://localhost:80/", "localhost, box, box.local, any IP address; --allow"),
        ({"allow_host": ("any",)}, "http://127.0.0.1:80/", "any name, also one of another site that is made to point"),
    ],
)
def test_it_says_where_to_open_it_and_to_which_names_it_answers(options, place, names, monkeypatch, capsys) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "box")
    command = ServeCommand(**options)
    command._announce("title", Hosts.of(command.host, command.host, command.allow_host), 80)
    said = capsys.readouterr().err
    assert f"open {place} " in said
    assert f"it answers to {names}" in said


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--port", "70000"], "--port must be from 0 to 65535"),
        (["--max-pixels", "0"], "--max-pixels must be a positive number"),
        (["--lifetime-min", "nan"], "--lifetime-min must be a positive number"),
        (["--segmenter", "/nowhere"], "there is no such folder"),
        (["--shards", "/nowhere"], "/nowhere"),
        (["--depth", "sonar"], "sonar"),
        (["--encoder-weights", "sonar=x"], "--encoder-weights takes"),
        ([], "no pipeline.json in /nowhere"),
    ],
)
def test_what_cannot_be_served_is_said_in_a_line(options, said, capsys) -> None:
    assert main(["--serve", "--checkpoint", "/nowhere", "--port=0", *options]) in (1, 2)
    error = capsys.readouterr().err
    assert said in error
    assert len(error.strip().splitlines()) == 1


def test_without_a_checkpoint_it_serves_the_packaged_one_and_says_so(
    tiny_checkpoint, tmp_path, monkeypatch, capsys
) -> None:
    monkeypatch.setattr("pipelines.pretrained.FOLDER", tiny_checkpoint)
    service = ServeCommand(device="cpu").service(tmp_path)
    assert service.worker.pipe.networks.title == "random weights, never trained (tests)"
    assert capsys.readouterr().err.startswith("no --checkpoint given: using the packaged compact model, random weights")


def test_a_port_that_is_taken_is_said_before_anything_is_loaded(capsys) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["--serve", "--checkpoint", "/nowhere", "--port", port]) == 2
    assert f"cannot listen at 127.0.0.1:{port} (Address already in use" in capsys.readouterr().err
