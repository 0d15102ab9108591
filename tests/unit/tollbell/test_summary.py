"""What `make run` prints when everything is up."""

import json
from pathlib import Path

from tollbell.settings import read_settings
from tollbell.summary import summary


def test_the_summary_names_every_place_and_every_sample_login(tmp_path: Path) -> None:
    settings = read_settings({"TOLLBELL_VAR": str(tmp_path), "TOLLBELL_ADMIN_HTTP": "127.0.0.1:9999"})
    settings.sample_credentials.write_text(
        json.dumps(
            {
                "administrator": {"login": "admin", "password": "open sesame"},
                "phones": [{"number": "0001", "display_name": "Alice", "password": "s3cret"}],
            }
        )
    )

    text = summary(settings, {})

    for part in ("http://127.0.0.1:9999/", "admin", "open sesame", "0001", "s3cret", "Alice", "make phone"):
        assert part in text
    assert text.splitlines()[-1] == "Tollbell is ready"


def test_without_sample_data_the_summary_says_how_to_make_a_login(tmp_path: Path) -> None:
    text = summary(read_settings({"TOLLBELL_VAR": str(tmp_path)}), {})

    assert "make administrator LOGIN=admin" in text
    assert text.splitlines()[-1] == "Tollbell is ready"


def test_commands_carry_the_settings_that_lead_to_this_system(tmp_path: Path) -> None:
    environment = {
        "TOLLBELL_VAR": f"{tmp_path}/my data",
        "TOLLBELL_SIP_UDP": "127.0.0.1:5070",
        "HOME": "/root",
    }

    text = summary(read_settings(environment), environment)

    assert f"TOLLBELL_VAR='{tmp_path}/my data' TOLLBELL_SIP_UDP=127.0.0.1:5070 make administrator" in text
