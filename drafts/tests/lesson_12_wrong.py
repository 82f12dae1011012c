WRONG = {
    "12": [
        [
            "def quantise_twice(z, first, second):\n"
            "    codes = [((z[:, None] - book) ** 2).sum(axis=2).argmin(axis=1) for book in (first, second)]\n"
            "    return np.stack(codes, axis=1), first[codes[0]] + second[codes[1]]",  # z, not what is left
            "def quantise_twice(z, first, second):\n"
            "    k = ((z[:, None] - first) ** 2).sum(axis=2).argmin(axis=1)\n"
            "    j = ((z[:, None] - first[k][:, None] - second) ** 2).sum(axis=2).argmin(axis=1)\n"
            "    return np.stack([k, j], axis=1), second[j]",  # the second entry alone
            "def quantise_twice(z, first, second):\n"
            "    codes = ((z[:, None] - first) ** 2).sum(axis=2).argsort(axis=1)[:, :2]\n"
            "    return codes, first[codes[:, 0]] + second[codes[:, 1]]",  # the two nearest of one codebook
        ],
        [
            "keep_probable = lambda logits, p: keep_largest(logits, 2)",  # top-k
            "def keep_probable(logits, p):\n"
            "    share = np.exp(logits - logits.max(axis=1, keepdims=True))\n"
            "    share = share / share.sum(axis=1, keepdims=True)\n"
            "    return np.where(share >= 1 - p, logits, -np.inf)",  # a threshold for each code alone
            "def keep_probable(logits, p):\n"
            "    order = np.argsort(-logits, axis=1)\n"
            "    share = np.exp(logits - logits.max(axis=1, keepdims=True))\n"
            "    share = np.take_along_axis(share / share.sum(axis=1, keepdims=True), order, axis=1)\n"
            "    kept = np.where(np.cumsum(share, axis=1) <= p, np.take_along_axis(logits, order, axis=1), -np.inf)\n"
            "    result = np.empty_like(logits)\n"
            "    np.put_along_axis(result, order, kept, axis=1)\n"
            "    return result",  # without the code that reaches p
        ],
        [
            "class ScalarQuantiser(layers.Layer):\n"
            "    def __init__(self, n_levels):\n        super().__init__()\n        self.n = (n_levels - 1) / 2\n"
            "    def call(self, z):\n        return ops.round(ops.tanh(z) * self.n) / self.n",  # no gradient
            "class ScalarQuantiser(layers.Layer):\n"
            "    def __init__(self, n_levels):\n        super().__init__()\n        self.n = (n_levels - 1) / 2\n"
            "    def call(self, z):\n        return z + ops.stop_gradient(ops.round(ops.tanh(z) * self.n) / self.n - z)",  # past tanh
            "class ScalarQuantiser(layers.Layer):\n"
            "    def __init__(self, n_levels):\n        super().__init__()\n        self.n = n_levels / 2\n"
            "    def call(self, z):\n        z = ops.tanh(z)\n"
            "        return z + ops.stop_gradient(ops.round(z * self.n) / self.n - z)",  # steps of another size
        ],
        [
            "complete_upper = lambda codes, words: generate(backward, words, known=codes[:, : n_kept * n_columns])[:, ::-1]",
            "complete_upper = lambda codes, words: "
            "generate(backward, words, known=codes[:, ::-1][:, : n_kept * n_columns])",  # not turned back
            "complete_upper = lambda codes, words: codes",  # nothing completed
        ],
    ],
}
