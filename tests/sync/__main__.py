"""`python -m tests.sync` writes the faces of `sessionstore.sync` anew."""

from __future__ import annotations

from .faces import FACES, written

if __name__ == "__main__":
    for face in FACES:
        face.path.write_text(written(face), encoding="utf-8")
