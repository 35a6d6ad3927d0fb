"""How large the user's own data may be: what the readers, the encoder and the facts have to agree on."""

# Files, and what they hold once it is unpacked.
MAX_BYTES = 2 * 2**30
# A prediction is stored as a byte.
MOST_CLASSES = 256
