"""Settings come from the right place, and nothing misspelt is ignored."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from wyckflow.errors import ConfigurationError
from wyckflow.settings import (
    PROJECT_LAYOUT,
    SETTINGS_FILE,
    WyckflowSettings,
    find_project,
)

SECRET = "kept-from-all-eyes"


@pytest.fixture
def write(tmp_path):
    """Write wyckflow.yaml of a project folder and return the folder."""

    def write(content):
        text = content if isinstance(content, str) else yaml.safe_dump(content)
        (tmp_path / SETTINGS_FILE).write_text(text)
        return tmp_path

    return write


def test_environment_beats_file_beats_default(write, monkeypatch):
    assert WyckflowSettings.load(write({})).threads == 1
    assert WyckflowSettings.load(write({"threads": 3})).threads == 3
    monkeypatch.setenv("WYCKFLOW_THREADS", "5")
    assert WyckflowSettings.load(write({"threads": 3})).threads == 5


def test_variables_are_known_in_any_case(write, monkeypatch):
    monkeypatch.setenv("wyckflow_threads", "5")
    assert WyckflowSettings.load(write({"threads": 3})).threads == 5


def test_a_variable_may_replace_a_wrong_value_of_the_file(write, monkeypatch):
    monkeypatch.setenv("WYCKFLOW_THREADS", "2")
    assert WyckflowSettings.load(write({"threads": "many"})).threads == 2


def test_the_project_is_found_from_any_folder_below(write, monkeypatch):
    folder = write({"threads": 4})
    deep = folder / "launches" / "today"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    settings = WyckflowSettings.load()
    assert (settings.project, settings.threads) == (folder, 4)


def test_the_variable_names_the_project_from_anywhere(write, monkeypatch, tmp_path):
    folder = write({"threads": 4})
    monkeypatch.chdir("/")
    assert find_project() is None
    monkeypatch.setenv("WYCKFLOW_PROJECT", str(folder))
    assert find_project() == folder
    assert WyckflowSettings.load().threads == 4


def test_a_project_given_by_hand_beats_the_variable(write, monkeypatch, tmp_path):
    monkeypatch.setenv("WYCKFLOW_PROJECT", str(tmp_path / "other"))
    folder = write({"threads": 4})
    settings = WyckflowSettings.load(folder)
    assert (settings.project, settings.threads) == (folder, 4)


def test_a_home_folder_may_be_written_with_a_tilde(monkeypatch):
    monkeypatch.setenv("WYCKFLOW_PROJECT", "~/campaigns")
    assert find_project() == (Path.home() / "campaigns").resolve()


def test_an_unknown_setting_in_the_file_is_named_with_the_nearest(write):
    folder = write({"heartbeet_s": 3})
    with pytest.raises(ConfigurationError, match="'heartbeet_s'") as caught:
        WyckflowSettings.load(folder)
    assert "Did you mean 'heartbeat_s'?" in str(caught.value)
    assert str(folder / SETTINGS_FILE) in str(caught.value)


def test_an_unknown_variable_is_named_with_the_nearest(tmp_path, monkeypatch):
    monkeypatch.setenv("WYCKFLOW_DEVISE", "cpu")
    with pytest.raises(ConfigurationError, match="WYCKFLOW_DEVISE") as caught:
        WyckflowSettings.load(tmp_path)
    assert "Did you mean 'WYCKFLOW_DEVICE'?" in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("threads", 0), ("threads", "many"), ("heartbeat_s", -1), ("idle_poll_s", 0)],
)
def test_a_value_that_cannot_be_is_refused_by_the_name_of_its_setting(
    write, setting, value
):
    with pytest.raises(ConfigurationError, match=setting):
        WyckflowSettings.load(write({setting: value}))


def test_a_wrong_value_in_the_environment_is_refused_by_name(tmp_path, monkeypatch):
    monkeypatch.setenv("WYCKFLOW_LOST_AFTER_S", "soon")
    with pytest.raises(ConfigurationError, match="lost_after_s"):
        WyckflowSettings.load(tmp_path)


def test_a_wrong_value_set_later_is_refused_too():
    settings = WyckflowSettings()
    with pytest.raises(ValueError, match="threads"):
        settings.threads = 0


@pytest.mark.parametrize("text", ["- a list\n", "just words\n", "3\n"])
def test_a_file_that_holds_no_settings_is_refused(write, text):
    with pytest.raises(ConfigurationError, match="name: value"):
        WyckflowSettings.load(write(text))


def test_a_file_that_is_no_yaml_is_refused_by_its_path(write):
    folder = write("threads: [1, 2\n")
    with pytest.raises(ConfigurationError, match="not valid YAML") as caught:
        WyckflowSettings.load(folder)
    assert str(folder) in str(caught.value)


def test_an_empty_file_and_a_missing_one_mean_the_defaults(write, tmp_path):
    defaults = WyckflowSettings().model_dump(exclude={"project"})
    for folder in (write(""), tmp_path / "nowhere"):
        found = WyckflowSettings.load(folder).model_dump(exclude={"project"})
        assert found == defaults


@pytest.mark.parametrize("layout", [0, PROJECT_LAYOUT + 1, "new"])
def test_a_project_of_another_layout_is_refused_unchanged(write, layout):
    folder = write({"project_layout": layout})
    before = (folder / SETTINGS_FILE).read_bytes()
    with pytest.raises(ConfigurationError, match=f"layout {layout}") as caught:
        WyckflowSettings.load(folder)
    assert "Nothing was changed" in str(caught.value)
    assert (folder / SETTINGS_FILE).read_bytes() == before


# --- passwords ------------------------------------------------------------------


def test_a_password_is_read_and_never_shown(tmp_path, monkeypatch):
    monkeypatch.setenv("WYCKFLOW_DATABASE_PASSWORD", SECRET)
    settings = WyckflowSettings.load(tmp_path)
    assert settings.password() == SECRET
    dumped = json.dumps(settings.model_dump(mode="json"))
    assert SECRET not in repr(settings) + str(settings) + dumped


def test_an_error_beside_a_password_does_not_show_it(tmp_path, monkeypatch):
    monkeypatch.setenv("WYCKFLOW_DATABASE_PASSWORD", SECRET)
    monkeypatch.setenv("WYCKFLOW_THREADS", "many")
    with pytest.raises(ConfigurationError) as caught:
        WyckflowSettings.load(tmp_path)
    assert SECRET not in str(caught.value)


def test_a_password_in_the_settings_file_is_refused_and_not_repeated(write):
    folder = write({"database_password": SECRET})
    with pytest.raises(
        ConfigurationError, match="WYCKFLOW_DATABASE_PASSWORD"
    ) as caught:
        WyckflowSettings.load(folder)
    assert SECRET not in str(caught.value)


def test_the_first_line_of_the_password_file_is_the_password(write, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text(f"{SECRET}\nsecond line\n")
    settings = WyckflowSettings.load(write({"database_password_file": str(secret)}))
    assert settings.password() == SECRET


def test_the_variable_beats_the_password_file(write, tmp_path, monkeypatch):
    secret = tmp_path / "secret"
    secret.write_text("other\n")
    monkeypatch.setenv("WYCKFLOW_DATABASE_PASSWORD", SECRET)
    settings = WyckflowSettings.load(write({"database_password_file": str(secret)}))
    assert settings.password() == SECRET


@pytest.mark.parametrize("content", [None, ""], ids=["missing", "empty"])
def test_a_password_file_without_a_password_is_refused(write, tmp_path, content):
    secret = tmp_path / "secret"
    if content is not None:
        secret.write_text(content)
    settings = WyckflowSettings.load(write({"database_password_file": str(secret)}))
    with pytest.raises(ConfigurationError, match="first line") as caught:
        settings.password()
    assert str(secret) in str(caught.value)


def test_without_a_password_there_is_none(tmp_path):
    assert WyckflowSettings.load(tmp_path).password() is None
