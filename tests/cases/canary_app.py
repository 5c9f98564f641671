"""The application of `canary_bodies.py` as the command finds it: store and key by the environment."""

from __future__ import annotations

import os

from canary_bodies import declared

from shiftboss.codec import AesGcmCodec

key = os.environ.get("CANARY_KEY")
boss = declared(os.environ["CANARY_STORE"], AesGcmCodec({"k1": key}) if key else None)
