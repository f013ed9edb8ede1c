"""Whether a training run can work, told before anything is read, loaded or trained; `--dry-run` asks it too."""

from __future__ import annotations

from typing import Any

from stages.models.architectures import check_policy
from stages.models.naming import at_revision, with_base
from stages.models.reward import describe_head
from stages.settings.training import TrainSettings


def check_policy_start(name: str, options: TrainSettings) -> None:
    """Refuse what cannot be trained as a policy.

    Raises:
        ModelError: no causal language model.
        UsageError: an adapter that cannot be trained on with these options; a revision of what has none.
    """
    name = with_base(at_revision(name, options.revision), options.base)
    check_policy(name, options.trust_remote_code)
    from stages.training.weights import POLICY, check_adapter

    check_adapter(name, POLICY, options)


def check_reward_start(name: str, options: TrainSettings, sigmoid: bool) -> dict[str, Any]:
    """How the head of the reward model will be built (`describe_head`).

    Raises:
        ModelError: there can be no reward model on this backbone.
        UsageError: an adapter that cannot be trained on with these options; a reward model with another head; a
            revision of what has none.
    """
    name = with_base(at_revision(name, options.revision), options.base)
    head = describe_head(name, sigmoid, options.trust_remote_code)
    from stages.training.weights import REWARD, check_adapter

    check_adapter(name, REWARD, options)
    return head
