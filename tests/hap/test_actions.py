from __future__ import annotations

import pytest
from msgspec.structs import replace

from bzzzd.errors import ConfigInvalid
from bzzzd.hap import actions, offers
from bzzzd.hap.actions import ACTIONS, MODES
from bzzzd.hap.keymap.action import Action
from bzzzd.hap.messages import Act
from bzzzd.hap.update import act
from bzzzd.hap.values.model import LISTS

from .builders import after, online, prompt_page


def _with(name: str, *keys: str) -> list[Action]:
    return [replace(action, keys=(*action.keys, *keys)) if action.name == name else action for action in ACTIONS]


def test_the_table_loads_without_a_clash() -> None:
    registry = actions.load(ACTIONS)
    found = registry.answer("tasks", "c")
    assert found is not None
    assert found.name == "cancel"


def test_one_key_for_two_actions_of_a_mode_is_refused_with_both_names() -> None:
    with pytest.raises(ConfigInvalid, match="key `c` means both `cancel` and `help` in tasks"):
        actions.load(_with("help", "c"))


def test_all_clashes_are_told_at_once() -> None:
    with pytest.raises(ConfigInvalid) as caught:
        actions.load([replace(action, keys=("z",)) if action.context == "list" else action for action in ACTIONS])
    assert len(caught.value.data["faults"]) > 5


def test_the_same_key_in_modes_that_never_meet_is_no_clash() -> None:
    registry = actions.load(ACTIONS)
    names = {mode: found.name for mode in MODES if (found := registry.answer(mode, "esc"))}
    assert names["form"] == "close"
    assert names["tasks"] == "clear-filter"


def test_a_letter_is_refused_where_letters_are_typed() -> None:
    with pytest.raises(ConfigInvalid, match="would be typed as text"):
        actions.load(_with("submit", "s"))


def test_a_name_used_twice_is_refused() -> None:
    with pytest.raises(ConfigInvalid, match="two actions are named `help`"):
        actions.load([*ACTIONS, replace(ACTIONS[0], name="help", keys=())])


def test_every_action_can_be_performed_and_changes_nothing_badly() -> None:
    model = online()
    for action in ACTIONS:
        after, _ = act(model, action.name, {})
        assert "there is no action" not in after.notice.text, action.name


def test_every_context_of_the_table_has_a_title_and_a_mode() -> None:
    assert {action.context for action in ACTIONS} <= set(actions.CONTEXT_TITLES)
    assert set(actions.CONTEXT_TITLES) == {context for stack in MODES.values() for context in stack}


def test_the_views_have_the_keys_1_to_9_in_the_order_in_which_they_are_shown() -> None:
    registry = actions.load(ACTIONS)
    found = [registry.answer("tasks", str(number)) for number in range(1, 10)]
    assert tuple(action.name for action in found if action is not None) == LISTS


@pytest.mark.parametrize(("query", "first"), [("canc", "cancel"), ("ag", "agents"), ("hlp", "help"), ("write", "new")])
def test_the_palette_finds_an_action_by_some_of_its_letters(query: str, first: str) -> None:
    found = actions.find(actions.load(ACTIONS), "tasks", query)
    assert first in [action.name for action in found[:3]]


def test_the_palette_offers_everything_of_a_mode_for_an_empty_query_and_nothing_for_nonsense() -> None:
    registry = actions.load(ACTIONS)
    assert len(actions.find(registry, "tasks", "")) == len(registry.of_mode("tasks")) - 1
    assert actions.find(registry, "tasks", "qqzz") == ()


def test_the_reference_names_every_key() -> None:
    text = actions.reference(actions.load(ACTIONS))
    assert all(f"`{key}`" in text for action in ACTIONS for key in action.keys)


def test_what_only_leads_to_a_refusal_is_not_offered() -> None:
    model = prompt_page(online())
    assert offers.applies(model, "answer")
    answered = replace(model.prompts["p-0001"], state="executed")
    assert not offers.applies(replace(model, prompts={"p-0001": answered}), "answer")
    thread = after(online(), Act("conversation", {"task": "t-0003"}))
    assert offers.applies(thread, "about")
    assert not offers.applies(thread, "message-after")


def test_who_looks_around_in_the_palette_finds_moving_last() -> None:
    contexts = [action.context for action in offers.found(online(), "")]
    assert contexts.index("list") > max(place for place, name in enumerate(contexts) if name not in ("list", "page"))
