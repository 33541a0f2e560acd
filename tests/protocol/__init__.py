"""The remote protocol as small programs, and a search of every order of their requests.

Read ``push``, ``collect`` and ``supersede`` to learn the protocol: each line that says ``yield`` is one request.
``rules`` lists what everybody keeps to, ``mutants`` what happens where somebody does not; ``stories`` are the scenes,
``invariant`` says what must hold in them, ``bucket`` what a store answers, and ``search`` tries all that can happen.
``python -m tests.protocol RULE`` tells the shortest way to a loss without a rule.
"""
