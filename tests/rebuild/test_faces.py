"""The face collection: whole, resumable, idempotent, throttled by the client's own back-off, failures by name. Rekognition is a double."""

import io
import json
import os
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.stub import Stubber
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from perene.backup import progress
from perene.backup.progress import Stages
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.rebuild import faces, sealed
from tests.rebuild import rekognition
from tests.rebuild.rekognition import Rekognition

KEY, OTHER = bytes(range(32)), bytes(32)
PHOTOS = {f"{number}": f"photo\0{number}".encode() for number in range(1, 8)}


def seal(key: bytes, name: str, image: bytes) -> bytes:
    nonce = os.urandom(12)
    return nonce + AESGCM(key).encrypt(nonce, image, name.encode())


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Rekognition, Any]]:
    """The double and a client like faces.client's, whose back-off waits for no real second."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)
    with rekognition.serve() as (service, address):
        config = Config(retries={"mode": "standard", "max_attempts": 3})
        yield service, boto3.client("rekognition", region_name="us-east-1", endpoint_url=address, config=config)


def rebuild(client: Any, photos: dict[str, bytes], keys: dict[int, bytes] | None = None, under: bytes = KEY) -> faces.Report:
    rows = {name: seal(under, name, image) for name, image in photos.items()}
    stages = Stages(io.StringIO(), live=False)
    collection = faces.Collection(service=client, id="fleet", open_=sealed.opener(keys or {1: KEY}), stages=stages)
    return collection.rebuild(lambda: iter(rows.items()), rows)


def test_every_photo_is_indexed_under_its_id(double: tuple[Rekognition, Any]) -> None:
    service, client = double
    report = rebuild(client, PHOTOS)
    assert (report.rows, report.before, report.added, report.failed) == (7, 0, 7, {})
    assert set(service.collections["fleet"]) == set(PHOTOS)
    assert report.enough(1.0)


def test_a_second_run_sends_nothing(double: tuple[Rekognition, Any]) -> None:
    service, client = double
    rebuild(client, PHOTOS)
    before = service.calls["IndexFaces"]
    report = rebuild(client, PHOTOS)
    assert service.calls["IndexFaces"] == before
    assert (report.before, report.added) == (7, 0)


def test_an_interrupted_run_goes_on_where_it_was(double: tuple[Rekognition, Any]) -> None:
    service, client = double
    service.stop_after = 3
    with pytest.raises(PereneError, match="AccessDeniedException"):
        rebuild(client, PHOTOS)
    assert len(service.collections["fleet"]) == 3
    service.stop_after = None
    report = rebuild(client, PHOTOS)
    assert (report.before, report.added) == (3, 4)
    assert max(service.tried.values()) == 2, "only the photo that was refused is sent again"


def test_failures_are_listed_by_photo_and_the_others_go_through(double: tuple[Rekognition, Any]) -> None:
    _, client = double
    bad = {"8": b"noface\0", "9": b"large\0", "10": b"format\0", "11": b"blurred\0", "12": b"x" * (faces.LARGEST + 1), "a b": b"photo\0"}
    report = rebuild(client, PHOTOS | bad)
    assert report.added == 7
    assert report.failed == {
        "8": "no face was indexed (none was found)",
        "9": "the image is too large",
        "10": "it is neither JPEG nor PNG",
        "11": "no face was indexed (LOW_SHARPNESS)",
        "12": "the image is too large (5.2 MB, 5.2 at most)",
        "a b": "its id cannot be an external id (letters, digits, _ . - :)",
    }
    assert not report.enough(1.0)
    assert report.enough(0.5)


def test_a_photo_that_failed_is_tried_again_by_the_next_run(double: tuple[Rekognition, Any]) -> None:
    _, client = double
    assert rebuild(client, {"1": b"noface\0"}).failed
    assert rebuild(client, {"1": b"photo\0"}).added == 1


def test_throttling_is_the_clients_affair_and_then_ours_at_the_end(double: tuple[Rekognition, Any]) -> None:
    service, client = double
    report = rebuild(client, {"1": b"throttle:2\0", "2": b"throttle:4\0", "3": b"throttle:99\0", "4": b"photo\0"})
    assert service.tried["1"] == 3, "the client itself tried three times"
    assert service.tried["2"] == 5, "put off by the first walk, taken by the second"
    assert report.failed == {"3": "ThrottlingException"}
    assert report.added == 3


def test_the_real_client_backs_off_adaptively() -> None:
    retries = faces.client("us-east-1").meta.config.retries
    assert (retries["mode"], retries["total_max_attempts"]) == ("adaptive", 11)


def test_a_wrong_key_is_named_and_nothing_is_sent(double: tuple[Rekognition, Any]) -> None:
    service, client = double
    many = {str(number): b"photo\0" for number in range(30)}
    with pytest.raises(PereneError, match="sealed with another key") as refused:
        rebuild(client, many, {1: OTHER})
    assert refused.value.exit_code == ExitCode.NOT_PROVEN
    assert service.calls["IndexFaces"] == 0


def test_photos_of_both_generations_open_and_exchanged_ones_do_not(double: tuple[Rekognition, Any]) -> None:
    open_ = sealed.opener({1: OTHER, 2: KEY})
    assert open_("7", seal(OTHER, "7", b"old")) == b"old"
    assert open_("7", seal(KEY, "7", b"new")) == b"new"
    assert open_("8", seal(KEY, "7", b"new")) is None, "the id is bound to the photo"
    assert open_("8", b"short") is None
    assert double[0].calls.total() == 0


def test_a_face_of_no_row_is_told(double: tuple[Rekognition, Any]) -> None:
    service, client = double
    rebuild(client, PHOTOS)
    report = rebuild(client, {"1": b"photo\0"})
    assert report.strangers == tuple(sorted(set(PHOTOS) - {"1"}))
    assert not report.enough(1.0)
    assert len(service.collections["fleet"]) == 7, "nothing is deleted"


def test_a_long_run_tells_what_remains(double: tuple[Rekognition, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "EVERY", 0.0)
    said = io.StringIO()
    rows = {name: seal(KEY, name, image) for name, image in PHOTOS.items()}
    stages = Stages(said, live=False)
    faces.Collection(service=double[1], id="fleet", open_=sealed.opener({1: KEY}), stages=stages).rebuild(lambda: iter(rows.items()), rows)
    lines = [json.loads(line) for line in said.getvalue().splitlines()]
    assert [(line["photos"], line["total"]) for line in lines if "secondsRemaining" in line] == [(n, 7) for n in range(1, 8)]
    assert lines[-1] | {"seconds": 0, "photosPerSecond": 0} == {
        "stage": "index", "of": "fleet", "result": "done", "seconds": 0, "photos": 7, "photosPerSecond": 0,
    }  # fmt: skip


def test_what_is_sent_is_what_the_service_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    client = boto3.client("rekognition", region_name="us-east-1")
    face = {"FaceId": "00000000-0000-0000-0000-000000000001", "ExternalImageId": "7"}
    with Stubber(client) as stub:
        stub.add_response("create_collection", {"StatusCode": 200}, {"CollectionId": "fleet"})
        listing = {"CollectionId": "fleet", "MaxResults": 4096}
        stub.add_response("list_faces", {"Faces": []}, listing)
        sent = {
            "CollectionId": "fleet",
            "Image": {"Bytes": b"photo\0"},
            "ExternalImageId": "7",
            "MaxFaces": 1,
            "QualityFilter": "AUTO",
            "DetectionAttributes": [],
        }
        stub.add_response("index_faces", {"FaceRecords": [{"Face": face}]}, sent)
        stub.add_response("list_faces", {"Faces": [face]}, listing)
        assert rebuild(client, {"7": b"photo\0"}).added == 1
        stub.assert_no_pending_responses()
