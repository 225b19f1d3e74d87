"""The interface of the actors: one frozen struct per request, one module per subject.

`Command[R]` names the type of its answer. Commands cross a socket as JSON (`actors.commands.protocol`). Times are Unix
milliseconds. A page holds an opaque cursor, or None at the end. Every command can raise any error of `domain.errors`;
one that names something of another account raises `NotFound`.
"""
