"""How the sentences of the `functions` world are worded.

    SPLITS.plain["list"]["first"]       # "take the first {n} numbers": it says what is done
    SPLITS.hard["list"]["first"]        # "drop all but the first {n} numbers": one has to read what stays
    SPLITS.earlier                      # "Before that, {phrase}.": done before what was told last

`OOD` holds the wordings of the out-of-domain split; no phrase of one set is in the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from evals.worlds.operations import Value

Phrases = Mapping[Value, Mapping[str, tuple[str, ...]]]
"""By the value's kind and the operation's name; `{n}` is the argument."""


@dataclass(frozen=True, slots=True)
class Wordings:
    """The sentences of a set of splits.

    Args:
        heads: what a question begins with; `{call}` is the function's name with its argument.
        plain: phrases that say what is done; "result" is what is returned where no operation is left to tell.
        hard: phrases that are hard to read. The keys "again" and "twice" with an operation's name refer to the number
            of the sentence before.
        frames: sentences about what is done next; `{phrase}` or, at the beginning, `{Phrase}`.
        earlier: sentences about what is done before that which the sentence before tells.
        asides: sentences about a value that change nothing.
    """

    heads: Mapping[Value, tuple[str, ...]]
    plain: Phrases
    hard: Phrases
    frames: tuple[str, ...]
    earlier: tuple[str, ...]
    asides: Mapping[Value, tuple[str, ...]]


SPLITS = Wordings(
    heads={
        "list": ("Write a function {call} for a list of numbers.", "Write a function {call} that gets a list."),
        "text": ("Write a function {call} for a text.", "Write a function {call} that gets a word."),
        "number": ("Write a function {call} for a number.", "Write a function {call} that gets a whole number."),
    },
    plain={
        "list": {
            "add": ("add {n} to each number", "increase each number by {n}"),
            "subtract": ("subtract {n} from each number", "decrease each number by {n}"),
            "multiply": ("multiply each number by {n}",),
            "square": ("square each number",),
            "even": ("keep the even numbers", "select the even numbers"),
            "odd": ("keep the odd numbers", "select the odd numbers"),
            "above": ("keep the numbers above {n}", "keep the numbers greater than {n}"),
            "below": ("keep the numbers below {n}", "keep the numbers less than {n}"),
            "least": ("keep the numbers that are {n} or more",),
            "most": ("keep the numbers that are {n} or less",),
            "first": ("take the first {n} numbers",),
            "last": ("take the last {n} numbers",),
            "skip": ("drop the first {n} numbers",),
            "cut": ("drop the last {n} numbers",),
            "second": ("take every second number from the first on",),
            "reverse": ("reverse the list",),
            "sort": ("sort the list", "sort the numbers in ascending order"),
            "fall": ("sort the numbers in descending order",),
            "once": ("remove duplicates",),
            "sum": ("return the sum", "return the total"),
            "count": ("return the length of the list", "return how many numbers there are"),
            "largest": ("return the largest number", "return the maximum"),
            "smallest": ("return the smallest number", "return the minimum"),
            "result": ("return the list",),
        },
        "text": {
            "first": ("take the first {n} letters",),
            "last": ("take the last {n} letters",),
            "skip": ("drop the first {n} letters",),
            "cut": ("drop the last {n} letters",),
            "reverse": ("reverse the text",),
            "upper": ("turn it into capitals",),
            "remove": ('remove every "{n}"',),
            "append": ('append "{n}"', 'put "{n}" at the end'),
            "prepend": ('prepend "{n}"', 'put "{n}" at the front'),
            "twice": ("repeat the text once",),
            "vowels": ("keep the vowels",),
            "consonants": ("keep the consonants",),
            "sort": ("sort the letters",),
            "once": ("remove duplicate letters",),
            "length": ("return the length",),
            "letters": ('return how often "{n}" occurs',),
            "result": ("return the text",),
        },
        "number": {
            "add": ("add {n}", "increase the number by {n}"),
            "subtract": ("subtract {n}", "decrease the number by {n}"),
            "multiply": ("multiply it by {n}",),
            "square": ("square it",),
            "half": ("halve it and round down",),
            "rest": ("take the remainder of a division by {n}",),
            "least": ("take the larger of it and {n}",),
            "most": ("take the smaller of it and {n}",),
            "result": ("return the number",),
        },
    },
    hard={
        "list": {
            "add": ("replace each number by the one that is {n} larger", "make each number larger by {n}"),
            "subtract": ("replace each number by the one that is {n} smaller", "make each number smaller by {n}"),
            "multiply": ("make each number {n} times as large",),
            "square": ("multiply each number by itself",),
            "even": ("drop the odd numbers", "keep all but the odd numbers"),
            "odd": ("drop the even numbers", "keep all but the even numbers"),
            "above": ("drop the numbers that are {n} or less", "keep no number up to {n}"),
            "below": ("drop the numbers that are {n} or more", "keep no number that reaches {n}"),
            "least": ("keep the numbers that are no less than {n}", "drop the numbers less than {n}"),
            "most": ("keep the numbers that are no greater than {n}", "drop the numbers greater than {n}"),
            "first": ("drop all but the first {n} numbers", "keep no more than the first {n} numbers"),
            "last": ("drop all but the last {n} numbers", "keep no more than the last {n} numbers"),
            "skip": ("keep all but the first {n} numbers",),
            "cut": ("keep all but the last {n} numbers",),
            "second": ("drop every second number but not the first",),
            "reverse": ("put the last number first and so on down to the first",),
            "sort": ("let no number come after a larger one",),
            "fall": ("let no number come after a smaller one",),
            "once": ("keep no number twice",),
            "sum": ("return what the numbers add up to",),
            "count": ("return how many numbers are left",),
            "largest": ("return the number that no other exceeds",),
            "smallest": ("return the number that exceeds no other",),
            "again add": ("add the same number to each",),
            "again subtract": ("subtract the same number from each",),
            "twice add": ("add twice that number to each",),
            "twice subtract": ("subtract twice that number from each",),
        },
        "text": {
            "first": ("drop all but the first {n} letters", "keep no more than the first {n} letters"),
            "last": ("drop all but the last {n} letters", "keep no more than the last {n} letters"),
            "skip": ("keep all but the first {n} letters",),
            "cut": ("keep all but the last {n} letters",),
            "reverse": ("put the last letter first and so on down to the first",),
            "upper": ("leave no small letter",),
            "remove": ('leave no "{n}"', 'keep all but "{n}"'),
            "append": ('let it end in one more "{n}"',),
            "prepend": ('let it begin with one more "{n}"',),
            "twice": ("append the text to itself",),
            "vowels": ("drop the consonants", "keep all but the consonants"),
            "consonants": ("drop the vowels", "keep all but the vowels"),
            "sort": ("let no letter come after a later one of the alphabet",),
            "once": ("keep no letter twice",),
            "length": ("return how many letters are left",),
            "letters": ('return the number of times that "{n}" is left',),
        },
        "number": {
            "add": ("replace it by the one that is {n} larger", "make it larger by {n}"),
            "subtract": ("replace it by the one that is {n} smaller", "make it smaller by {n}"),
            "multiply": ("make it {n} times as large",),
            "square": ("multiply it by itself",),
            "half": ("round its half down",),
            "rest": ("take what is left over when it is divided by {n}",),
            "least": ("let it be no less than {n}", "raise it to {n} if it is smaller"),
            "most": ("let it be no greater than {n}", "lower it to {n} if it is larger"),
            "again add": ("add the same number again",),
            "again subtract": ("subtract the same number",),
            "twice add": ("add twice that number",),
            "twice subtract": ("subtract twice that number",),
        },
    },
    frames=("{Phrase}.", "Then {phrase}."),
    earlier=("Before that, {phrase}.", "Do that only after you {phrase}."),
    asides={
        "list": (
            "The list may hold {n} numbers or more.",
            "The list is not sorted.",
            "Not all of the numbers are even.",
            "Numbers below {n} are rare.",
            "Some numbers may appear twice.",
        ),
        "text": (
            "The text may have {n} letters or more.",
            "Its letters are not sorted.",
            "Not all of the letters are vowels.",
            "Some letters may occur twice.",
        ),
        "number": (
            "The number may be above {n}.",
            "The number is rarely {n}.",
            "It may be even or odd.",
        ),
    },
)

OOD = Wordings(
    heads={
        "list": ("Define {call}, where xs holds whole numbers.",),
        "text": ("Define {call}, where s is a string of characters.",),
        "number": ("Define {call}, where n is an integer.",),
    },
    plain={
        "list": {
            "add": ("raise every number by {n}",),
            "subtract": ("reduce every number by {n}",),
            "multiply": ("scale every number by {n}",),
            "square": ("raise every number to the power of 2",),
            "even": ("filter for even numbers",),
            "odd": ("filter for odd numbers",),
            "above": ("filter for numbers above {n}",),
            "below": ("filter for numbers below {n}",),
            "least": ("filter for numbers from {n} on",),
            "most": ("filter for numbers up to {n}",),
            "first": ("restrict it to the first {n}",),
            "last": ("restrict it to the last {n}",),
            "skip": ("leave off the first {n}",),
            "cut": ("leave off the last {n}",),
            "second": ("pick the first number and every second one after it",),
            "reverse": ("flip the list around",),
            "sort": ("order the list from small to large",),
            "fall": ("order the list from large to small",),
            "once": ("make the numbers distinct",),
            "sum": ("give back the sum of the list",),
            "count": ("give back the size of the list",),
            "largest": ("give back the maximum of the list",),
            "smallest": ("give back the minimum of the list",),
            "result": ("give back the list",),
        },
        "text": {
            "first": ("restrict it to the first {n} characters",),
            "last": ("restrict it to the last {n} characters",),
            "skip": ("leave off the first {n} characters",),
            "cut": ("leave off the last {n} characters",),
            "reverse": ("flip the string around",),
            "upper": ("make all characters capitals",),
            "remove": ('delete each "{n}"',),
            "append": ('attach "{n}" at the end',),
            "prepend": ('attach "{n}" at the front',),
            "twice": ("double the string",),
            "vowels": ("filter for vowels",),
            "consonants": ("filter for consonants",),
            "sort": ("order the characters by the alphabet",),
            "once": ("make the characters distinct",),
            "length": ("give back the length of the string",),
            "letters": ('give back the count of "{n}"',),
            "result": ("give back the string",),
        },
        "number": {
            "add": ("raise it by {n}",),
            "subtract": ("reduce it by {n}",),
            "multiply": ("scale it by {n}",),
            "square": ("raise it to the power of 2",),
            "half": ("floor-divide it by 2",),
            "rest": ("reduce it modulo {n}",),
            "least": ("take the maximum of it and {n}",),
            "most": ("take the minimum of it and {n}",),
            "result": ("give back the integer",),
        },
    },
    hard={
        "list": {
            "even": ("filter out odd numbers",),
            "odd": ("filter out even numbers",),
            "above": ("filter out numbers up to {n}",),
            "below": ("filter out numbers from {n} on",),
            "least": ("filter out numbers below {n}",),
            "most": ("filter out numbers above {n}",),
            "first": ("leave off all except the first {n}",),
            "last": ("leave off all except the last {n}",),
            "skip": ("restrict it to all except the first {n}",),
            "cut": ("restrict it to all except the last {n}",),
            "again add": ("raise every number by the same amount",),
            "again subtract": ("reduce every number by the same amount",),
            "twice add": ("raise every number by twice that amount",),
            "twice subtract": ("reduce every number by twice that amount",),
        },
        "text": {
            "first": ("leave off all except the first {n} characters",),
            "last": ("leave off all except the last {n} characters",),
            "skip": ("restrict it to all except the first {n} characters",),
            "cut": ("restrict it to all except the last {n} characters",),
            "vowels": ("filter out consonants",),
            "consonants": ("filter out vowels",),
        },
        "number": {
            "again add": ("raise it by the same amount",),
            "again subtract": ("reduce it by the same amount",),
            "twice add": ("raise it by twice that amount",),
            "twice subtract": ("reduce it by twice that amount",),
        },
    },
    frames=("{Phrase}.", "Next, {phrase}."),
    earlier=("Just before that step, {phrase}.",),
    asides={
        "list": ("There are often more than {n} of them.", "Nobody has ordered them before."),
        "text": ("There are often more than {n} characters.", "Nobody has ordered them before."),
        "number": ("It is often larger than {n}.", "Nobody has checked it before."),
    },
)
