# SPDX-License-Identifier: Apache-2.0
"""Allocation points in classes: bodies, metaclasses, descriptors, and the methods that the interpreter calls."""

import collections
import copy
import enum
import functools
import os
import pickle

from marks import at, keep, point


@point
def class_bodies():
    class Body:
        block = bytearray(at())

        class Inner:
            block = bytearray(at())
            blocks = [bytearray(at()) for _ in range(2)]

            def method(self):
                return bytearray(at())
    keep((Body, Body.Inner().method()))


@point
def construction():
    class Made:
        def __new__(cls, *args):
            keep(bytearray(at()))
            return super().__new__(cls)

        def __init__(self, *args):
            self.block = bytearray(at())
    keep(Made(1, 2))

    class Derived(Made):
        def __init__(self):
            super().__init__()
            self.other = bytearray(at())
    keep(Derived())


@point
def destruction():
    class Dies:
        def __del__(self):
            keep(bytearray(at()))

    def lets_go():
        local = Dies()
        return len([local])
    lets_go()
    held = Dies()
    del held
    for held in (Dies(), None):
        pass


@point
def metaclasses():
    class Meta(type):
        @classmethod
        def __prepare__(mcs, name, bases, **named):
            keep(bytearray(at()))
            return {}

        def __new__(mcs, name, bases, space, **named):
            keep(bytearray(at()))
            return super().__new__(mcs, name, bases, space)

        def __init__(cls, name, bases, space, **named):
            keep(bytearray(at()))
            super().__init__(name, bases, space)

        def __call__(cls, *args):
            keep(bytearray(at()))
            return super().__call__(*args)

        def __instancecheck__(cls, value):
            return bool(bytearray(at()))

    class Made(metaclass=Meta, option=1):
        block = bytearray(at())
    keep((Made(), isinstance(5, Made)))


@point
def class_hooks():
    class Named:
        def __set_name__(self, owner, name):
            keep(bytearray(at()))

    class Base:
        def __init_subclass__(cls, **named):
            keep(bytearray(at()))

        def __class_getitem__(cls, item):
            return bytearray(at())

    class Derived(Base, option=1):
        member = Named()
    keep(Derived[int])


@point
def class_decorators():
    def decorate(cls):
        cls.block = bytearray(at())
        return cls

    @decorate
    class Decorated:
        pass
    keep(Decorated)


@point
def properties():
    class Owner:
        @property
        def value(self):
            return bytearray(at())

        @value.setter
        def value(self, new):
            keep((new, bytearray(at())))

        @value.deleter
        def value(self):
            keep(bytearray(at()))

        @functools.cached_property
        def cached(self):
            return bytearray(at())
    owner = Owner()
    keep(owner.value)
    owner.value = 1
    del owner.value
    keep(owner.cached)


@point
def property_made_hot():
    class Owner:
        n = 0

        @property
        def value(self):
            self.n += 1
            return bytearray(at()) if self.n == 1000 else None
    owner = Owner()
    for _ in range(1000):
        block = owner.value
    keep(block)


@point
def descriptors():
    class Descriptor:
        def __get__(self, instance, owner):
            return bytearray(at())

        def __set__(self, instance, value):
            keep(bytearray(at()))

        def __delete__(self, instance):
            keep(bytearray(at()))

    class Owner:
        member = Descriptor()
    owner = Owner()
    keep((owner.member, Owner.member))
    owner.member = 1
    del owner.member


@point
def attributes():
    class Dynamic:
        def __getattr__(self, name):
            return bytearray(at())

        def __setattr__(self, name, value):
            keep(bytearray(at()))

        def __delattr__(self, name):
            keep(bytearray(at()))

        def __dir__(self):
            keep(bytearray(at()))
            return []

    class Always:
        def __getattribute__(self, name):
            return bytearray(at())
    dynamic = Dynamic()
    keep((dynamic.anything, getattr(dynamic, "other"), hasattr(dynamic, "third"), Always().anything, dir(dynamic)))
    dynamic.member = 1
    del dynamic.member


@point
def containers():
    class Container:
        def __getitem__(self, key):
            if key == 2:
                raise IndexError
            return bytearray(at())

        def __setitem__(self, key, value):
            keep(bytearray(at()))

        def __delitem__(self, key):
            keep(bytearray(at()))

        def __contains__(self, value):
            return keep(bytearray(at())) is None

        def __len__(self):
            return len(bytearray(at()))

        def __reversed__(self):
            return bytearray(at())
    container = Container()
    keep((container[0], container[1:2], 1 in container, len(container), list(container), reversed(container)))
    container[0] = 1
    del container[0]


@point
def missing_keys():
    class Filled(dict):
        def __missing__(self, key):
            return bytearray(at())
    keep((Filled()["key"], "%(name)s" % Filled() == ""))
    keep(collections.defaultdict(lambda: bytearray(at()))["key"])


@point
def iterators():
    class Iterates:
        def __init__(self):
            self.left = 2

        def __iter__(self):
            keep(bytearray(at()))
            return self

        def __next__(self):
            self.left -= 1
            if self.left < 0:
                raise StopIteration
            return bytearray(at())

        def __length_hint__(self):
            keep(bytearray(at()))
            return 2
    keep(list(Iterates()))
    for block in Iterates():
        keep(block)
    first, *rest = Iterates()
    keep((first, rest))


@point
def operators():
    class Number:
        def __add__(self, other):
            return bytearray(at())

        def __rsub__(self, other):
            return bytearray(at())

        def __imul__(self, other):
            return bytearray(at())

        def __neg__(self):
            return bytearray(at())

        def __matmul__(self, other):
            return bytearray(at())

        def __bool__(self):
            return bool(bytearray(at()))

        def __lt__(self, other):
            return bytearray(at())

        def __eq__(self, other):
            return bytearray(at())

        def __hash__(self):
            return len(bytearray(at()))

        def __call__(self, *args):
            return bytearray(at())
    number = Number()
    keep((number + 1, 1 - number, -number, number @ 1, number < 1, number == 1, hash(number), number(1, 2)))
    keep(1 if number else 2)
    keep({number: 1})
    keep(sum([number], number))
    number *= 2
    keep(number)


@point
def conversions():
    class Converts:
        def __repr__(self):
            keep(bytearray(at()))
            return "repr"

        def __str__(self):
            return keep(bytearray(at())) or "str"

        def __format__(self, spec):
            keep(bytearray(at()))
            return "format"

        def __int__(self):
            return len(bytearray(at()))

        def __bytes__(self):
            return bytes(at())

        def __fspath__(self):
            keep(bytearray(at()))
            return "/"

        def __round__(self, digits=None):
            return bytearray(at())
    value = Converts()
    keep((repr([value]), str(value), f"{value:x} {value!r}", "%s" % value, "{}".format(value), int(value), bytes(value),
          os.fspath(value), os.path.join(value, "a"), round(value)))


@point
def methods():
    class Owner:
        @classmethod
        def of_class(cls):
            return bytearray(at())

        @staticmethod
        def of_none():
            return bytearray(at())

        def of_instance(self):
            return bytearray(at())
        as_lambda = lambda self: bytearray(at())  # noqa: E731
    owner = Owner()
    bound = owner.of_instance
    keep((owner.of_class(), Owner.of_none(), bound(), Owner.of_instance(owner), owner.as_lambda()))


@point
def named_tuples():
    pair = collections.namedtuple("pair", "one two")

    class Checked(pair):
        def __new__(cls, one, two):
            keep(bytearray(at()))
            return super().__new__(cls, one, two)

        @property
        def total(self):
            return bytearray(at())
    checked = Checked(1, 2)._replace(one=3)
    keep((checked, checked.total))


@point
def enums():
    class Kind(enum.Enum):
        ONE = len(bytearray(at()))

        def __init__(self, value):
            keep(bytearray(at()))

        @classmethod
        def _missing_(cls, value):
            keep(bytearray(at()))
            return cls.ONE
    keep(Kind(-1))


class Copied:
    """Found by its name when it is unpickled."""

    def __reduce__(self):
        keep(bytearray(at()))
        return Copied, ()

    def __deepcopy__(self, memo):
        return bytearray(at())

    def __init__(self):
        keep(bytearray(at()))


@point
def copies():
    keep(copy.deepcopy({"key": [Copied()]}))
    keep(pickle.loads(pickle.dumps([Copied()])))
