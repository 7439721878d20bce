"""Finding items: by words, by meaning, by neighbourhood; filtered, and several lists made into one.

- `hits`: what every search returns.
- `lexical` (with `words`, `spelling`, `queries`): BM25 over fields of text, in tantivy.
- `highlights`: where a query's words stand in a text.
- `encoder` (with `onnx_graph`): texts to vectors by a packaged sentence encoder, in ONNX Runtime.
- `vectors`: nearest neighbours by inner product, exact or through inverted lists.
- `attributes`: filters.
- `fusion`: lists of hits made into one.

Nothing here knows a system: rows are numbers, texts are texts.
"""
