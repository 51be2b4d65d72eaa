"""Why an answer to a prompt, or what an agent makes of one, does not count: a branch of the tree in ``errors.py``.

    NotAllowed
    └── PromptRefused          PROMPT_REFUSED         3
        ├── NeedsPerson        PROMPT_NEEDS_PERSON    3
        ├── OwnQuestion        PROMPT_OWN_QUESTION    3
        ├── NotAddressed       PROMPT_NOT_ADDRESSED   3
        ├── AnsweredAlready    PROMPT_ANSWERED        3
        ├── PromptExpired      PROMPT_EXPIRED         3
        ├── OtherPrompt        PROMPT_MISMATCH        3
        ├── ValueChanged       PROMPT_VALUE_CHANGED   3
        ├── ActionChanged      PROMPT_ACTION_CHANGED  3
        └── Denied             PROMPT_DENIED          3
    Conflict
    └── OutcomeOpen            PROMPT_UNKNOWN         1

Each leaves a line in the log (``bzzzd/daemon/ledger/audit.py``).
"""

from __future__ import annotations

from bzzzd.errors import Conflict, NotAllowed


class PromptRefused(NotAllowed):
    """An answer to a prompt, or what an agent makes of one, does not count; the log has a line for each."""

    code = "PROMPT_REFUSED"


class NeedsPerson(PromptRefused):
    """Only people answer prompts, with a person grant of this mesh."""

    code = "PROMPT_NEEDS_PERSON"


class OwnQuestion(PromptRefused):
    """Whoever asked cannot answer."""

    code = "PROMPT_OWN_QUESTION"


class NotAddressed(PromptRefused):
    """The prompt asks other people."""

    code = "PROMPT_NOT_ADDRESSED"


class AnsweredAlready(PromptRefused):
    """The prompt has its answer, or has this person's."""

    code = "PROMPT_ANSWERED"


class PromptExpired(PromptRefused):
    """The time for an answer is over."""

    code = "PROMPT_EXPIRED"


class OtherPrompt(PromptRefused):
    """The answer is to another text than the one that was asked: its digest differs."""

    code = "PROMPT_MISMATCH"


class ValueChanged(PromptRefused):
    """The value is not one that this prompt can take, or not the one that was signed."""

    code = "PROMPT_VALUE_CHANGED"


class ActionChanged(PromptRefused):
    """What an agent is about to do is not what was asked about."""

    code = "PROMPT_ACTION_CHANGED"


class Denied(PromptRefused):
    """The answer was no."""

    code = "PROMPT_DENIED"


class OutcomeOpen(Conflict):
    """It is not known whether the action of an earlier prompt was done; a person says so first."""

    code = "PROMPT_UNKNOWN"
