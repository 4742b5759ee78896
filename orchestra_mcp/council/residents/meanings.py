"""What an exception type means mechanically, and what to check first. Data.

Sources: the languages' own references (Python library reference, ECMA-262 and V8's messages, the Java API, the Go
specification's run-time panics, the Rust standard library).
"""

from __future__ import annotations

from typing import NamedTuple


class Meaning(NamedTuple):
    """One exception type: what the machine found, and what to check."""

    means: str
    check: str


PYTHON = {
    "AttributeError": Meaning(
        "the object on the left of the dot has no attribute of that name",
        "find out what the object really is at that line; for NoneType, which call returned None",
    ),
    "KeyError": Meaning(
        "a mapping was asked for a key that it does not hold",
        "compare the key that was asked for with the place that fills the mapping",
    ),
    "IndexError": Meaning(
        "a sequence was indexed outside its length",
        "check how many items it can have here, above all none",
    ),
    "TypeError": Meaning(
        "an operation or call got a value of a type, or a number of arguments, that it does not accept",
        "compare the call with the signature, and the value with what the operation needs",
    ),
    "ValueError": Meaning(
        "a value of the right type is not one that the operation accepts",
        "find where the value comes from and whether the check that rejects it is right",
    ),
    "NameError": Meaning("a name is bound in no enclosing scope", "look for a typing error, a missing import, or a name that was removed"),
    "UnboundLocalError": Meaning(
        "a local variable is read on a path on which nothing has been assigned to it",
        "find the branches that assign it, and the one that does not",
    ),
    "ImportError": Meaning(
        "the module was found, but the name cannot be taken from it, or loading it failed",
        "check that the module defines the name at top level, and for circular imports",
    ),
    "ModuleNotFoundError": Meaning(
        "no module of that name is on the import path",
        "check that it is installed, that it still exists under that name, and that no local file hides it",
    ),
    "ZeroDivisionError": Meaning("the divisor is zero", "find where the divisor can become zero, such as the length of something empty"),
    "RecursionError": Meaning(
        "functions call one another more deeply than the interpreter's limit",
        "find the cycle in the frames, and the condition that should end it",
    ),
    "AssertionError": Meaning("the condition of an assert is false", "compare the values on both sides of the condition"),
    "StopIteration": Meaning("next() was called on an iterator that has no more items", "give next() a default, or check for emptiness"),
    "RuntimeError": Meaning("the code itself, or a library, reports a state that it cannot handle", "read the condition that guards the raise"),
    "NotImplementedError": Meaning(
        "a method was called that the class leaves to its subclasses or to other cases",
        "check which class the object has and whether it should override the method",
    ),
    "UnicodeDecodeError": Meaning("bytes are not valid in the encoding used to read them", "check which encoding the source has; open() uses the system's unless told"),
    "UnicodeEncodeError": Meaning("a character does not exist in the target encoding", "check the encoding of the stream or file written to"),
    "FileNotFoundError": Meaning("the path does not exist at that moment", "check what a relative path is relative to, and who should have created it"),
    "PermissionError": Meaning("the operating system refuses access", "check owner, mode, and whether the path is a directory or open elsewhere"),
    "OverflowError": Meaning("a result does not fit its type", "check the magnitude of the operands"),
    "SyntaxError": Meaning("the parser cannot read the source", "look at the line and the one before it, and at the Python version"),
    "TimeoutError": Meaning("an operation did not end in the time given", "check whether the other side answers at all before raising the limit"),
    "CancelledError": Meaning("the task was cancelled from outside", "find who cancels it; often a time limit further out"),
    "OSError": Meaning("the operating system refused an operation", "read the error number in the message"),
    "DeprecationWarning": Meaning("a deprecated use is treated as an error", "replace the use that the message names"),
}  # fmt: skip
JAVASCRIPT = {
    "TypeError": Meaning(
        "a value is undefined, null, or no function, where an object or function is needed",
        "find where the value on the left of the dot or parenthesis should have been set",
    ),
    "ReferenceError": Meaning("a name is not declared in any scope, or is read before its declaration ran", "look for a missing import or a use before let/const"),
    "RangeError": Meaning("a number is outside the allowed range, or the call stack is full", "check for endless recursion or a bad length"),
    "SyntaxError": Meaning("text could not be parsed as JavaScript or JSON", "log the text that is parsed; often it is an HTML error page or empty"),
    "AssertionError": Meaning("the condition of an assertion is false", "compare the actual with the expected value"),
    "UnhandledPromiseRejection": Meaning("a promise failed and nobody handled it", "await the promise or add a catch"),
}  # fmt: skip
JAVA = {
    "NullPointerException": Meaning("a method, field or element of null was used", "find which reference on the line can be null, and which call returned it"),
    "ClassCastException": Meaning("an object is not of the class it is cast to", "check the generic types and who produces the object"),
    "IllegalArgumentException": Meaning("a method rejects an argument on purpose", "read the condition that guards the throw, then who passes the value"),
    "IllegalStateException": Meaning("a method was called at a moment at which the object does not allow it", "read the condition that guards the throw"),
    "IndexOutOfBoundsException": Meaning("an index is negative or not below the size", "check the size for the empty case"),
    "ArrayIndexOutOfBoundsException": Meaning("an array index is negative or not below the length", "check the loop bounds and the empty case"),
    "StringIndexOutOfBoundsException": Meaning("a position is outside the string", "check for an empty string and for indexOf returning -1"),
    "NumberFormatException": Meaning("text is not a number in the expected form", "check for blanks, empty text and separators"),
    "ConcurrentModificationException": Meaning("a collection changed while it was iterated", "look for add or remove inside the loop or on another thread"),
    "UnsupportedOperationException": Meaning("the object does not support the operation, such as add on an immutable list", "check how the collection was made"),
    "StackOverflowError": Meaning("methods call one another without end", "find the cycle in the frames and the condition that should end it"),
    "NoSuchMethodError": Meaning("the class loaded at run time is of another version than the one compiled against", "compare the versions on the class path"),
    "ClassNotFoundException": Meaning("a class is not on the class path", "check the dependency and its scope"),
    "NoSuchElementException": Meaning("an element was asked of something empty", "check for emptiness first"),
    "ArithmeticException": Meaning("an integer was divided by zero, or a result is not exact", "find where the divisor can be zero"),
}  # fmt: skip
GO = {
    "nil pointer dereference": Meaning("a field or method of a nil pointer was used", "find which pointer on the line can be nil, often next to an ignored error"),
    "index out of range": Meaning("an index is not below the length", "check the length for the empty case"),
    "slice bounds out of range": Meaning("a slice expression reaches beyond the capacity or runs backwards", "check both bounds"),
    "assignment to entry in nil map": Meaning("a map was written to before make()", "find where the map should be made"),
    "concurrent map": Meaning("a map is used by several goroutines without a lock", "guard it with a mutex or use sync.Map"),
    "interface conversion": Meaning("a type assertion met another dynamic type", "use the two-value form and handle the other case"),
    "send on closed channel": Meaning("a channel was closed while somebody still sends", "let only the sender close"),
    "all goroutines are asleep": Meaning("every goroutine waits for another one", "find the channel or lock that nobody serves"),
    "integer divide by zero": Meaning("the divisor is zero", "find where the divisor can become zero"),
}  # fmt: skip
RUST = {
    "on a `None` value": Meaning("unwrap() or expect() met None", "find which call on the line returns None and handle that case"),
    "on an `Err` value": Meaning("unwrap() or expect() met an error", "read the error in the message and pass it on with `?` instead"),
    "index out of bounds": Meaning("an index is not below the length", "check the length for the empty case"),
    "already borrowed": Meaning("a RefCell is borrowed mutably while another borrow lives", "shorten the earlier borrow"),
    "already mutably borrowed": Meaning("a RefCell is borrowed while a mutable borrow lives", "shorten the earlier borrow"),
    "overflow": Meaning("an arithmetic result does not fit its type", "check the operands, use checked_ or wrapping_ operations"),
    "not a char boundary": Meaning("a string was cut inside a character", "cut at char_indices()"),
    "unreachable": Meaning("code ran that its author held to be unreachable", "find the case that was left out"),
}  # fmt: skip

# Add a language here. Keys are exception names, or parts of the message for languages whose panics have no type.
MEANINGS: dict[str, dict[str, Meaning]] = {
    "python": PYTHON,
    "javascript": JAVASCRIPT,
    "typescript": JAVASCRIPT,
    "node": JAVASCRIPT,
    "java": JAVA,
    "kotlin": JAVA,
    "go": GO,
    "rust": RUST,
}


def meaning(language: str, exception: str, message: str) -> Meaning | None:
    """What an exception means in a language; None for one that is not in the table."""
    table = MEANINGS.get(language.lower(), {})
    name = exception.rsplit(".", 1)[-1].rsplit("::", 1)[-1].split("$")[-1]
    if name in table:
        return table[name]
    said = f"{exception}: {message}"
    return next((found for part, found in table.items() if " " in part and part in said), None)
