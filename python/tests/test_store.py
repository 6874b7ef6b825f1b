"""Days in object stores from Python: built to an address, and opened from it through the cache."""

import pathlib
import sys

import pytest

import shardback

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "stores"))

from servers import KEY, SECRET, client, moto  # noqa: E402

SAMPLE = ROOT / "data" / "sample"
TABLES = {table: SAMPLE / table for table in ("impressions", "clicks", "add_to_carts", "previous_orders")}


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    with moto(tmp_path_factory.mktemp("s3")) as url:
        client(url).create_bucket(Bucket="days")
        yield {"aws_endpoint_url": url, "aws_region": "us-east-1", "aws_access_key_id": KEY, "aws_secret_access_key": SECRET}


def test_what_is_built_to_a_store_is_opened_from_there(settings, tmp_path):
    """The manifests are those of a build on a disk, and so are the arrays."""
    options = {"start": "2025-08-15", "end": "2025-08-16", "formats": ["jagged", "dense"]}
    here = shardback.build(**TABLES, out=tmp_path / "out", **options)
    there = shardback.build(**TABLES, out="s3://days/python", store_options=settings, **options)
    assert [(manifest.date, manifest.build) for manifest in there] == [(manifest.date, manifest.build) for manifest in here]

    cache = {"cache_dir": tmp_path / "cache", "store_options": settings}
    days = shardback.open("s3://days/python", **cache)
    local = shardback.open(tmp_path / "out")
    assert [day.date for day in days] == [day.date for day in local]
    for day, same in zip(days, local, strict=True):
        assert day.manifest.hash == same.manifest.hash
        assert (day.dense(range(len(day)))[0] == same.dense(range(len(same)))[0]).all()
    assert shardback.verify("s3://days/python/dense", **cache).is_sound
    assert len(shardback.inspect("s3://days/python/jagged/dt=2025-08-16", **cache)["rows"]) == 5


def test_days_that_take_more_than_the_cache_may_hold_are_refused(settings, tmp_path):
    shardback.build(**TABLES, out="s3://days/large", date="2025-08-16", formats="dense", store_options=settings)
    with pytest.raises(shardback.OptionError, match="the cache may hold 524288"):
        shardback.open("s3://days/large", cache_dir=tmp_path, cache_limit="512KiB", store_options=settings)
