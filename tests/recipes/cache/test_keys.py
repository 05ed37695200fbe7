"""
No two calls share a key, and one call has one key however it is written.
"""

from __future__ import annotations

import enum
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, PrivateAttr

from sahool_cache.recipes import cache_result
from sahool_cache.recipes.caching.canonical import Unkeyable, canonical, shortened
from sahool_cache.recipes.caching.template import Template


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Number(enum.IntEnum):
    ONE = 1


class Right(enum.Flag):
    READ = 1
    WRITE = 2
    RUN = 4


@dataclass(frozen=True)
class Point:
    x: int
    y: int


@dataclass(frozen=True)
class Size:
    x: int
    y: int


class Pair(NamedTuple):
    x: int
    y: int


class Struct(msgspec.Struct):
    x: int
    y: int


class Model(BaseModel):
    model_config = ConfigDict(extra="allow")
    x: int
    y: int


class Named:
    def __init__(self, name: str | None) -> None:
        self.name = name

    def __cache_key__(self) -> str | None:
        return self.name


class Secret(BaseModel):
    x: int
    _of: str = PrivateAttr("")

    @classmethod
    def of(cls, of: str) -> Secret:
        made = cls(x=1)
        made._of = of
        return made


class Nothing(msgspec.Struct):
    pass


TUNIS, PARIS = ZoneInfo("Africa/Tunis"), ZoneInfo("Europe/Paris")

DIFFERENT: list[Any] = [
    *(None, True, False, 0, 1, -1, 1.0, 0.0, -0.0, "", "1", "1.0", "None", "n", "i1", "True", b"1"),
    *(b"", "a,b", ("a", "b"), ["a", "b"], ("a,b",), {"a": "b"}, {"a", "b"}, ("a", ("b",)), ()),
    *([], {}, set(), [[]], [()], ["a:b", "c"], ["a", "b:c"], ["a%3Ab", "c"], 10**40, "1" * 41),
    *(Colour.RED, Colour.BLUE, Number.ONE, Right.READ, Right.READ | Right.WRITE),
    *(Right.READ | Right.RUN, Point(1, 2), Size(1, 2), Pair(1, 2), Struct(1, 2), Model(x=1, y=2)),
    *(Model(x=1, y=2, z=3), (1, 2), Named("a"), Named("b"), Named, Colour, Point, "a" * 300),
    *("a" * 301, "\n", "\udcff", "é", "e\u0301", 1j, Decimal(1), Decimal("1.0"), UUID(int=1)),
    *(date(2026, 1, 1), datetime(2026, 1, 1), datetime(2026, 1, 1, tzinfo=UTC), time(1)),  # noqa: DTZ001
    *(datetime(2026, 1, 1, fold=1), timedelta(1), timedelta(seconds=1), timedelta(microseconds=1)),  # noqa: DTZ001
    *(
        datetime(2026, 1, 1, tzinfo=TUNIS),
        datetime(2026, 1, 1, tzinfo=PARIS),
        time(1, tzinfo=PARIS),
    ),
    *(time(1, tzinfo=TUNIS), Secret.of("a"), Secret.of("b"), Nothing(), Named(None)),
    *({"a": {"b": 1}}, {"a": 1, "b": 1}, {1: "a"}, {"1": "a"}, {"a=b": 1}, {"a": "b=1"}),
]


def test_values_that_differ_have_forms_that_differ() -> None:
    forms = [shortened(canonical(value)) for value in DIFFERENT]
    assert len(set(forms)) == len(forms)


def test_values_without_an_order_have_one_form() -> None:
    assert canonical({"a": 1, "b": 2}) == canonical({"b": 2, "a": 1})
    assert canonical({3, 1, 2}) == canonical(frozenset({2, 3, 1}))


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 12), st.sampled_from([0.0, 1.0, 12.0]),
    st.text(alphabet="i12n,:()%s.=", max_size=4), st.binary(max_size=2),
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.text(alphabet="ab=,", max_size=2), inner, max_size=2),
    ),
    max_leaves=6,
)


def same(one: Any, other: Any) -> bool:
    """
    Equal, and of the same types all the way down.
    """
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


@given(VALUES, VALUES)
@settings(max_examples=1500)
def test_forms_are_equal_exactly_where_values_are(one: Any, other: Any) -> None:
    assert (canonical(one) == canonical(other)) is same(one, other)
    assert canonical([one, other]) != canonical([[one, other]])


def cached(function: Callable[..., Any], **options: Any) -> Any:
    return cache_result("p", ttl=60, **options)(function)


async def fetch(user_id: int, *rest: int, lang: str = "ar", **more: Any) -> None: ...


async def plain(one: Any, other: Any = None) -> None: ...


def test_a_call_has_one_key_however_it_is_written() -> None:
    key = cached(fetch).key_for
    assert key(1) == key(user_id=1) == key(1, lang="ar")
    assert key(1, a=1, b=2) == key(1, b=2, a=1)
    assert len({key(1), key(1, 2), key(1, lang="2"), key(1, x=2), key(1, rest=2)}) == 5
    with pytest.raises(TypeError, match="missing a required argument: 'user_id'"):
        key()
    with pytest.raises(TypeError, match="unexpected keyword"):
        cached(plain).key_for(1, two=2)


def test_a_key_says_what_it_is_of() -> None:
    key = cached(plain).key_for("Ahmed", 7)
    assert key == f"p:{plain.__module__}.plain:(s5.Ahmed,i7)"
    assert len(cached(plain).key_for("x" * 10_000)) < 150


def test_functions_have_keys_of_their_own() -> None:
    async def plain(one: Any, other: Any = None) -> None: ...

    assert cached(plain).key_for(1) != cached(globals()["plain"]).key_for(1)
    first, second = cache_result("a:b"), cache_result("a")
    assert first(plain).key_for(1) != second(plain).key_for(1)


def test_what_cannot_be_told_apart_is_refused_by_name() -> None:
    key = cached(plain).key_for
    for value in (object(), lambda: None, Named.__init__, [object()], {"a": object()}, iter(())):
        with pytest.raises(TypeError, match=r"the argument 'other' cannot be part of a key"):
            key(1, value)
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(TypeError, match="contains itself"):
        key(endless)
    with pytest.raises(Unkeyable):
        canonical(type("Local", (), {"__qualname__": "f.<locals>.Local"}))


class Wider(Point):
    """
    Not a dataclass of its own: nothing says that `z` is part of it.
    """

    def __init__(self, x: int, y: int, z: int) -> None:
        super().__init__(x, y)
        object.__setattr__(self, "z", z)


class Longer(Pair):
    """
    As `Wider`, of a named tuple.
    """

    z = 0


class Attributes(dict[str, Any]):
    """
    Has whatever attribute it is asked for.
    """

    def __getattr__(self, name: str) -> Any:
        return self.get(name, "")


class Unfinished(msgspec.Struct):
    x: int

    def __cache_key__(self) -> Any:
        raise AttributeError("name")


def test_a_record_that_may_hold_more_than_its_fields_is_refused() -> None:
    longer = Longer(1, 2)
    assert canonical(longer) != canonical(Pair(1, 2))
    longer.z = 3
    for value in (Wider(1, 2, 3), longer, Attributes(a=1)):
        with pytest.raises(TypeError, match=r"the argument 'other' cannot be part of a key"):
            cached(plain).key_for(1, value)
    with pytest.raises(AttributeError, match="name"):  # never passed over
        canonical(Unfinished(1))


def test_an_instance_that_cannot_be_part_of_a_key_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match=r"Service\.profile: the instance cannot be part of a key"):
        Tenant(object()).profile.key_for(7)  # type: ignore[arg-type]
    assert Tenant(None).profile.key_for(7) != Tenant("").profile.key_for(7)  # type: ignore[arg-type]


def test_what_the_result_does_not_depend_on_is_left_out() -> None:
    key = cached(plain, ignore=("other",)).key_for
    assert key(1, object()) == key(1) == key(1, other=2) != key(2)
    with pytest.raises(ValueError, match="no parameter 'x'"):
        cached(plain, ignore=("x",))


def test_a_template_makes_keys_readable() -> None:
    async def view(user_id: Any, page: Any = 1, session: Any = None) -> None: ...

    key = cached(view, key="{user_id}/{page}", ignore=("session",)).key_for
    assert key(7).endswith(":7/1")
    assert key("Ahmed Ali", page="a/b:c").endswith(":Ahmed%20Ali/a%2Fb%3Ac")
    with pytest.raises(ValueError, match="calls that differ in page, session would share"):
        cached(view, key="{user_id}")
    for template in (
        "{user_id}{page}",
        "{user_id}-{page}",
        "{user_id!r}:{page}",
        "{x}",
        "{0}",
        "{",
    ):
        with pytest.raises(ValueError, match=r"key:|expected|Single"):
            cached(view, key=template, ignore=("session",))


def test_a_template_does_not_make_keys_of_any_length() -> None:
    async def find(text: Any) -> None: ...

    key = cached(find, key="{text}").key_for
    assert len({key(text) for text in ("a" * 10**6, "a" * 10**6 + "b", 10**5000, "é" * 150)}) == 4
    assert all(len(key(text)) < 350 for text in ("a" * 10**6, 10**5000, -(10**5000), "é" * 150))


def test_a_template_may_show_what_identifies_an_argument() -> None:
    async def of(point: Point) -> None: ...

    assert cached(of, key="{point.x}/{point.y}").key_for(Point(3, 4)).endswith(":3/4")


@given(VALUES, VALUES, VALUES, VALUES)
@settings(max_examples=1000)
def test_a_template_tells_calls_apart_as_well(a: Any, b: Any, c: Any, d: Any) -> None:
    template = Template("{x}:{y}", ["x", "y"])
    one, other = template.render({"x": a, "y": b}), template.render({"x": c, "y": d})
    assert (one == other) is (same(a, c) and same(b, d))


class Service:
    def __init__(self, tenant: str = "") -> None:
        self.tenant = tenant

    @cache_result("p", ttl=60)
    async def profile(self, user_id: int) -> int:
        return user_id

    @cache_result("p", ttl=60)
    @classmethod
    async def of_class(cls, user_id: int) -> int:
        return user_id

    @staticmethod
    @cache_result("p", ttl=60)
    async def of_nobody(user_id: int) -> int:
        return user_id


class Special(Service):
    pass


class Tenant(Service):
    @property
    def __cache_key__(self) -> str:
        return self.tenant


def test_the_instance_is_no_part_of_a_key() -> None:
    key = Service("a").profile.key_for(7)
    assert key == Service("b").profile.key_for(user_id=7) == Service.profile.key_for(Service(), 7)
    assert key == f"p:{Service.__module__}.Service.profile:(i7)"
    assert Service.of_class.key_for(7) == f"p:{Service.__module__}.Service.of_class:(i7)"  # type: ignore[attr-defined]
    assert Service.of_nobody.key_for(7) == f"p:{Service.__module__}.Service.of_nobody:(i7)"  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="give it its instance first"):
        Service.profile.key_for()  # type: ignore[call-arg]


def test_classes_that_may_do_it_otherwise_have_keys_of_their_own() -> None:
    keys = {kind().profile.key_for(7) for kind in (Service, Special)}
    keys |= {kind.of_class.key_for(7) for kind in (Service, Special)}  # type: ignore[attr-defined]
    assert len(keys) == 4


def test_an_instance_that_says_what_it_is_is_part_of_the_key() -> None:
    assert Tenant("a").profile.key_for(7) == Tenant("a").profile.key_for(7)
    assert Tenant("a").profile.key_for(7) != Tenant("b").profile.key_for(7)


class Elsewhere:
    @cache_result("p", ttl=60)
    @classmethod
    async def of_kind(kind, user_id: int) -> int:  # noqa: N804  # whatever its name
        return user_id

    @cache_result("p", ttl=60)
    @staticmethod
    async def of_nobody(user_id: int) -> int:
        return user_id

    @classmethod
    @cache_result("p", ttl=60)
    async def below(cls, user_id: int = 0) -> int:
        return user_id

    @cache_result("p", ttl=60)
    async def of_this(this, user_id: int) -> int:  # noqa: N805
        return user_id


def test_a_function_remains_one_when_a_class_names_it_as_well() -> None:
    """
    Its first argument must not be taken for an instance: all others would share the result.
    """
    function = cached(plain)

    class Names:
        get = function

    Names.late = function  # type: ignore[attr-defined]
    assert function.key_for(1) == Names.get.key_for(1) != function.key_for(2)
    assert Names().get.key_for(2) == Names().late.key_for(2)  # type: ignore[attr-defined]
    assert Names().get.key_for(2) not in (function.key_for(1), function.key_for(2))
    assert function.key_for(1) == Names.get.key_for(1)


def test_a_method_is_one_whatever_its_first_parameter_is_called() -> None:
    assert Elsewhere.of_kind.key_for(7).endswith(".Elsewhere.of_kind:(i7)")  # type: ignore[attr-defined]
    assert Elsewhere.of_nobody.key_for(7) == Elsewhere().of_nobody.key_for(7)
    assert Elsewhere.of_nobody.key_for(7).endswith(".Elsewhere.of_nobody:(i7)")
    assert Elsewhere().of_this.key_for(7).endswith(".Elsewhere.of_this:(i7)")


def test_below_classmethod_no_argument_is_taken_for_the_class() -> None:
    """
    From Python 3.13 on a class method has the attributes of what is below it, without its class.
    """
    if sys.version_info < (3, 13):
        assert Elsewhere.below.key_for(7).endswith(".Elsewhere.below:(i7)")  # type: ignore[attr-defined]
    else:
        with pytest.raises(TypeError, match="above @classmethod"):
            Elsewhere.below.key_for(7)  # type: ignore[attr-defined]
        key = Elsewhere.below.key_for(Elsewhere, 7)  # type: ignore[attr-defined]
        assert key.endswith(".Elsewhere.below:(i7)")
