"""Dictionaries, strings, JSON, expressions, sorting, threads and compression: prints a checksum of each."""

import collections
import json
import queue
import re
import sys
import threading
import zlib

SIZE = int(sys.argv[1])


def numbers(seed, count):
    for _ in range(count):
        seed = (seed * 1103515245 + 12345) % 2**31
        yield seed >> 8


def say(what, value):
    print(what, zlib.crc32(repr(value).encode()))


def words(seed, count):
    return [f"word-{n % 5000}-{'x' * (n % 40)}" for n in numbers(seed, count)]


class Node:
    def __init__(self, key, before):
        self.key, self.before, self.tags = key, before, [key, str(key)]


def counted():
    by_word = collections.Counter(words(1, SIZE))
    say("counter", sorted(by_word.items()))
    nested = {}
    for n in numbers(2, SIZE):
        nested.setdefault(n % 97, {}).setdefault(n % 89, []).append(str(n))
    say("nested", sorted((a, b, len(c), c[-1]) for a, d in nested.items() for b, c in d.items()))


def texts():
    rows = [{"id": n, "name": w, "parts": w.split("-"), "half": n / 2} for n, w in enumerate(words(3, SIZE // 2))]
    text = json.dumps(rows, indent=1)
    say("json", text)
    say("json again", json.loads(text) == rows)
    say("expressions", sorted(re.findall(r'"(word-\d*7)-(x+)"', text)))
    say("replaced", re.sub(r"\d+", lambda m: str(int(m[0]) * 3), text))
    say("compressed", zlib.decompress(zlib.compress(text.encode(), 6)) == text.encode())


def objects():
    node = None
    for n in numbers(4, SIZE):
        node = Node(n, node if n % 100 else None)
    length = 0
    while node:
        node, length = node.before, length + len(node.tags)
    say("list", length)
    grown = bytearray()
    for n in numbers(5, SIZE):
        grown += n.to_bytes(4, "little") * (n % 5)
    say("bytes", bytes(grown))
    say("sorted", sorted(words(6, SIZE), key=lambda word: word[::-1]))


def threads():
    given, taken = queue.Queue(maxsize=8), []

    def make(seed):
        for part in range(4):
            given.put({w: [part, w.upper()] for w in words(seed + part, SIZE // 16)})

    makers = [threading.Thread(target=make, args=(10 * k,)) for k in range(1, 5)]
    for maker in makers:
        maker.start()
    for _ in range(16):
        made = given.get()
        taken.append(zlib.crc32(repr(sorted(made.items())).encode()))
    for maker in makers:
        maker.join()
    say("threads", sorted(taken))


for part in (counted, texts, objects, threads):
    part()
