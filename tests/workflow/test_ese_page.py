"""The page of the proof is made from nothing, with tables beside it."""

import json
import re

from conftest import snakemake
from contimg.tables import check_schema, read_table
from proof.schemas import CALIBRATION, INJECTIONS, NULLS, ROC
from workflow import SMALL_PROOF

CHAIN = "validation: {chain: chain.jsonl}\n"
VERDICT = {
    "event": "J150928.9+462528", "event_snr": 25.0, "n_epochs": 12, "simulated_depth": 0.3,
    "found_depth": 0.29, "n_constant": 191, "n_candidates": 1, "is_first": True,
    "constant_candidates": [],
}  # fmt: skip


def test_the_page_shows_events_nulls_and_the_real_chain(tmp_path):
    (tmp_path / "chain.yaml").write_text(CHAIN)
    (tmp_path / "chain.jsonl").write_text(json.dumps({"ESE, seed 111": VERDICT}) + "\n")
    snakemake(
        tmp_path, "--", "validation/ese/index.html", configs=[SMALL_PROOF, tmp_path / "chain.yaml"]
    )
    folder = tmp_path / "validation" / "ese"
    schemas = {
        "calibration": CALIBRATION, "nulls": NULLS, "injections": INJECTIONS, "roc": ROC,
    }  # fmt: skip
    for name, schema in schemas.items():
        table, about = read_table(folder / f"{name}.parquet")
        check_schema(table, schema)
        assert len(table) and about["digest"]
    injections, _ = read_table(folder / "injections.parquet")
    required = injections[injections["part"] == "required"]
    nulls, _ = read_table(folder / "nulls.parquet")
    quiet = nulls.loc[nulls["setting"] == "daily, 1 %", "ese_llr"]
    assert required["ese_llr"].median() > quiet.quantile(0.9)
    page = (folder / "index.html").read_text()
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.S)[1])
    assert data["chain"]["ESE, seed 111"]["is_first"]
    names = {"drw 2 % 300 d", "smooth 2 % 50 d", "matern52 2 % 5 d"}
    assert {row["background"] for row in data["required"]} >= names
    assert "://" not in page
