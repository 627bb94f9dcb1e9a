"""SIMBAD, NED and Gaia are asked, answers are kept, and nothing fails without them.

There is no network in the tests: a server on the loopback speaks the services' protocols.
"""

import os
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pandas as pd
import pytest
from astropy.table import MaskedColumn, Table
from astroquery.simbad import SimbadClass
from pyvo.dal import TAPService

import match_candidates
from contimg import external, external_query
from contimg.external import ExternalOptions, cache_path, external_matches, match_sources
from contimg.schemas import ESE_CANDIDATES, EXTERNAL_MATCHES
from contimg.status import InputError
from contimg.tables import check_schema, read_table, write_rejected_table

RA, DEC = 187.2779, 2.0524  # 3C 273
CAPABILITIES = """<?xml version="1.0"?>
<vosi:capabilities xmlns:vosi="http://www.ivoa.net/xml/VOSICapabilities/v1.0"
 xmlns:tr="http://www.ivoa.net/xml/TAPRegExt/v1.0" xmlns:vs="http://www.ivoa.net/xml/VODataService/v1.1"
 xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
<capability standardID="ivo://ivoa.net/std/TAP" xsi:type="tr:TableAccess">
<interface role="std" xsi:type="vs:ParamHTTP"><accessURL use="base">{url}</accessURL></interface>
<language><name>ADQL</name><version ivo-id="ivo://ivoa.net/std/ADQL#v2.0">2.0</version></language>
<outputFormat><mime>application/x-votable+xml</mime></outputFormat>
<outputLimit><default unit="row">10000</default><hard unit="row">2000000</hard></outputLimit>
</capability></vosi:capabilities>"""


def votable(table):
    content = BytesIO()
    table.write(content, format="votable")
    return content.getvalue()


def ned_answer(n_objects=2):
    """Return what NED says of a place, with some of its columns; the farther object first."""
    table = Table({"objid": [1, 2], "prefname": ["WISEA J122906.9+020314", "3C 273"]})
    table["ra"], table["dec"] = [RA + 2 / 3600, RA], [DEC, DEC + 0.1 / 3600]
    table["prefphytype"] = ["IrS", "QSO"]
    table["z"] = MaskedColumn([0.0, 0.158339], mask=[True, False])
    return votable(table[:n_objects])


class Service(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(parse_qs(urlsplit(self.path).query))

    def do_POST(self):
        length = int(self.headers["Content-Length"])
        self.answer(parse_qs(self.rfile.read(length).decode()))

    def answer(self, asked):
        server, path = self.server, urlsplit(self.path).path
        server.asked.append((path, asked))
        if path == "/slow/sync":
            server.end.wait(60)
        elif path.endswith("capabilities"):
            self.reply(CAPABILITIES.format(url=server.url + "/simbad").encode())
        elif path == "/empty/sync":
            self.reply(ned_answer(0))
        elif path == "/tap/sync":
            self.reply(ned_answer())
        elif path.startswith("/simbad"):
            row = {"main_id": ["3C 273"], "otype": ["BLL"], "ra": [RA], "dec": [DEC]}
            self.reply(votable(Table(row)))
        elif path == "/tap-server/tap/sync":
            row = {"DESIGNATION": ["Gaia DR3 3700386905605055360"], "ra": [RA], "dec": [DEC]}
            self.reply(votable(Table({**row, "phot_g_mean_mag": [12.8]})))
        else:
            self.send_error(503)

    def reply(self, content):
        self.send_response(200)
        self.send_header("Content-Type", "application/x-votable+xml")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    found = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    found.daemon_threads, found.asked, found.end = True, [], threading.Event()
    found.url = f"http://127.0.0.1:{found.server_port}"
    threading.Thread(target=found.serve_forever, daemon=True).start()
    yield found
    found.end.set()
    found.shutdown()
    found.server_close()


SITE = """
from astroquery.utils.tap import TapPlus
made = TapPlus.__init__
TapPlus.__init__ = lambda self, url, **others: made(self, url={url!r}, **others)
"""


@pytest.fixture
def ned_at(tmp_path, monkeypatch):
    """Return the function that lets processes of astroquery find NED at another address."""

    def point_to(url):
        folder = tmp_path / "site"
        folder.mkdir(exist_ok=True)
        (folder / "sitecustomize.py").write_text(SITE.format(url=url))
        others = os.environ.get("PYTHONPATH", "")
        monkeypatch.setenv("PYTHONPATH", f"{folder}{os.pathsep}{others}")

    return point_to


def test_ned_tells_name_type_and_redshift(server, monkeypatch):
    monkeypatch.setattr(external_query, "NED_TAP", f"{server.url}/tap")
    nearest, other = external_query.ask("ned", RA, DEC, 10.0)
    assert (nearest["name"], nearest["object_type"]) == ("3C 273", "QSO")
    assert nearest["redshift"] == 0.158339 and nearest["magnitude"] is None
    assert nearest["separation_arcsec"] == pytest.approx(0.1, abs=1e-6)
    assert other["redshift"] is None
    assert other["separation_arcsec"] == pytest.approx(2 * np.cos(np.radians(DEC)), abs=1e-6)
    query = server.asked[0][1]["QUERY"][0]
    assert "NEDTAP.objdir" in query and "CIRCLE('J2000', 187.2779000, 2.0524000, 0.0027778" in query


def test_simbad_tells_name_and_type(server, monkeypatch):
    monkeypatch.setattr(SimbadClass, "tap", TAPService(f"{server.url}/simbad"))
    (match,) = external_query.ask("simbad", RA, DEC, 10.0)
    assert (match["name"], match["object_type"]) == ("3C 273", "BLL")
    query = next(asked["QUERY"][0] for path, asked in server.asked if path.endswith("sync"))
    assert "CIRCLE('ICRS', 187.2779000, 2.0524000, 0.0027778)" in query


def test_gaia_tells_name_and_magnitude(server, monkeypatch):
    monkeypatch.setattr(external_query, "GAIA_TAP", f"{server.url}/tap-server/tap")
    (match,) = external_query.ask("gaia", RA, DEC, 10.0)
    assert match["name"] == "Gaia DR3 3700386905605055360"
    assert match["magnitude"] == pytest.approx(12.8)
    assert any("gaiadr3.gaia_source" in str(asked) for _, asked in server.asked)


def test_an_answer_is_kept_and_asked_for_once(server, ned_at, tmp_path):
    ned_at(f"{server.url}/tap")
    first = external_matches(RA, DEC, 10.0, ["ned"], tmp_path / "cache")
    assert list(first.name) == ["3C 273", "WISEA J122906.9+020314"]
    assert list(first.status) == ["matched", "matched"]
    path = cache_path(tmp_path / "cache", "ned", RA, DEC, 10.0)
    before = path.read_bytes()
    ned_at("http://127.0.0.1:9/closed")
    again = external_matches(RA, DEC, 10.0, ["ned"], tmp_path / "cache")
    pd.testing.assert_frame_equal(first, again)
    assert len(server.asked) == 1 and path.read_bytes() == before


def test_nothing_there_is_an_answer(server, ned_at, tmp_path):
    ned_at(f"{server.url}/empty")
    rows = external_matches(RA, DEC, 10.0, ["ned"], tmp_path)
    assert list(rows.status) == ["none"] and rows.match_ra_deg.isna().all()
    assert cache_path(tmp_path, "ned", RA, DEC, 10.0).is_file()


def closed_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def test_an_unreachable_service_is_a_row_and_asked_once(ned_at, tmp_path, monkeypatch):
    ned_at(f"http://127.0.0.1:{closed_port()}/tap")
    asked = []
    real = external._ask
    monkeypatch.setattr(external, "_ask", lambda *all_: asked.append(all_) or real(*all_))
    two = pd.DataFrame({"source_id": ["a", "b"], "ra_deg": [RA, 10.0], "dec_deg": [DEC, 10.0]})
    rows = match_sources(two, ExternalOptions(services=["ned"]), tmp_path / "cache")
    check_schema(rows, EXTERNAL_MATCHES)
    assert list(rows.source_id) == ["a", "b"] and set(rows.status) == {"unreachable"}
    assert rows.reason.str.contains("ConnectionRefusedError").all() and len(asked) == 1
    assert not rows.reason.str.contains("0x").any()
    assert not (tmp_path / "cache").exists()


def test_a_service_that_hangs_is_given_up(server, ned_at, tmp_path):
    ned_at(f"{server.url}/slow")
    rows = external_matches(RA, DEC, 10.0, ["ned"], tmp_path / "cache", timeout_s=6.0)
    assert list(rows.reason) == ["no answer within 6 s"]
    assert len(server.asked) == 1


def test_unknown_services_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"unknown vizier; expected some of simbad, ned, gaia"):
        external_matches(RA, DEC, 10.0, ["vizier"], tmp_path)


@pytest.mark.parametrize("services", [[], ["ned", "gaia"]])
def test_the_script_writes_a_row_for_each_service(tmp_path, monkeypatch, services):
    monkeypatch.setattr(external, "_ask", lambda service, *_: ANSWERS[service])
    candidates = tmp_path / "candidates.csv"
    candidates.write_text("source_id,ra_deg,dec_deg,rank\nJ1,10.0,20.0,1\nJ2,11.0,-20.0,2\n")
    output = tmp_path / "external.parquet"
    match_candidates.main(
        candidates=candidates, output=output, options={"services": services, "radius_arcsec": 5}
    )
    rows, metadata = read_table(output)
    check_schema(rows, EXTERNAL_MATCHES)
    assert list(rows.source_id) == ["J1", "J1", "J2", "J2"] * bool(services)
    assert list(rows.status) == ["matched", "none"] * len(services)
    assert metadata["options"]["radius_arcsec"] == 5
    kept = sorted(path.name for path in (tmp_path / "external").glob("ned/*"))
    names = ["10.000000+20.000000_5arcsec.json", "11.000000-20.000000_5arcsec.json"]
    assert kept == names * bool(services)


def test_a_candidate_without_a_position_is_told_and_the_next_is_asked(tmp_path, monkeypatch):
    monkeypatch.setattr(external, "_ask", lambda service, *_: ANSWERS[service])
    two = pd.DataFrame({"source_id": ["a", "b"], "ra_deg": [np.nan, 10.0], "dec_deg": [0.0, 20.0]})
    rows = match_sources(two, ExternalOptions(services=["ned"]), tmp_path)
    check_schema(rows, EXTERNAL_MATCHES)
    assert list(rows.status) == ["unreachable", "matched"]
    assert list(rows.reason) == ["the source has no position", ""]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("ra_deg,dec_deg\n10,20\n", r"mine\.csv: no column source_id; found ra_deg, dec_deg"),
        ("source_id,ra_deg,dec_deg\na,00:40:00,20\n", r"mine\.csv: ra_deg '00:40:00' found in row"),
    ],
)
def test_a_table_of_ones_own_that_cannot_be_read_is_told(tmp_path, text, told):
    (tmp_path / "mine.csv").write_text(text)
    with pytest.raises(InputError, match=told):
        match_candidates.main(candidates=tmp_path / "mine.csv", output=tmp_path / "e.parquet")


def test_rejected_candidates_stay_rejected(tmp_path):
    write_rejected_table(tmp_path / "c.parquet", ESE_CANDIDATES, "no light curves")
    match_candidates.main(
        candidates=tmp_path / "c.parquet",
        output=tmp_path / "external.parquet",
        options={"services": ["ned"]},
    )
    rows, metadata = read_table(tmp_path / "external.parquet")
    assert (metadata["status"], metadata["reason"], len(rows)) == ("rejected", "no light curves", 0)


MATCH = {"name": "3C 1", "object_type": "QSO", "magnitude": None, "redshift": 1.5}
ANSWERS = {
    "ned": [{**MATCH, "ra_deg": 10.0, "dec_deg": 20.0, "separation_arcsec": 0.5}],
    "gaia": [],
}
