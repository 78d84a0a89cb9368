"""Which functions a hub knows: durable names by kind, compared without case (sdk-api.md 2.3)."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

BUILT_IN_HTTP = "BuiltIn::HttpActivity"
_NOUNS = {"activity": "an activity", "orchestration": "an orchestrator", "entity": "an entity"}


class Catalog:
    """The names that the live hosts of a hub list, as the app writes them; `own` are those of this host, `threadless`
    its activities that need no thread, in lower case."""

    __slots__ = ("_names", "_own", "_threadless", "default_version")

    def __init__(
        self,
        names: Mapping[str, Iterable[str]],
        default_version: str = "",
        own: Mapping[str, Iterable[str]] | None = None,
        threadless: frozenset[str] = frozenset(),
    ) -> None:
        self._names = {kind: {name.lower(): name for name in names.get(kind, ())} for kind in _NOUNS}
        mine = names if own is None else own
        self._own = {kind: frozenset(name.lower() for name in mine.get(kind, ())) for kind in _NOUNS}
        self._threadless = threadless
        self.default_version = default_version

    def runs_here(self, kind: str, name: str) -> bool:
        """Whether this host has the function."""
        return name.lower() in self._own[kind] or (kind == "activity" and name == BUILT_IN_HTTP)

    def needs_thread(self, activity: str) -> bool:
        """Whether an activity of this host needs a free thread of a worker."""
        return activity.lower() not in self._threadless

    def elsewhere(self) -> tuple[str, ...]:
        """The orchestrators and entities that other hosts have and this one has not, as `kind:name` in lower case."""
        return tuple(
            f"{kind}:{name}"
            for kind in ("orchestration", "entity")
            for name in self._names[kind]
            if name not in self._own[kind]
        )

    def unknown(self, kind: str, name: str) -> str | None:
        """None when a function of this kind (activity, orchestration, entity) has the name, else the error text."""
        known = self._names[kind]
        key = name.lower()
        if key in known or (kind == "activity" and name == BUILT_IN_HTTP):
            return None
        article_noun = _NOUNS[kind]
        noun = article_noun.split()[1]
        listed = ", ".join(f"'{written}'" for written in self.names(kind))
        also = f"The following are the known {noun} functions: {listed}." if listed else _NONE.format(noun)
        text = (
            f"The function '{name}' doesn't exist, is disabled, or is not {article_noun} function. "
            f"Additional info: {also}"
        )
        near = difflib.get_close_matches(key, known, n=3, cutoff=0.6)
        if near:
            text += " Did you mean " + " or ".join(f"'{known[k]}'" for k in near) + "?"
        return text

    def names(self, kind: str) -> tuple[str, ...]:
        """The known names of a kind, sorted."""
        return tuple(sorted(self._names[kind].values()))


_NONE = "No {} functions are currently registered!"
