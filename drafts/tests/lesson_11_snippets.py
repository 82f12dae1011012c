"""What lesson 11 needs in the tests: copy from here."""

# conftest.py, SMOKE: n_steps, n_seeds, limit, dataset are there already (n_steps = 20)
SMOKE_ADDITIONS = {"n_eval": 60, "mae_steps": [10], "tune_steps": 5}

# tests/test_lessons.py, digits at default parameters
CLAIMS = {
    "11": lambda m: (
        m["exact_stem"] > 0.3
        and m["exact_one_more_stem"] < m["exact_stem"]
        and m["cache_error"] < 1e-2
        and m["cache_same"] > 0.99
        and m["attention_on_digit_stem"] > m["attention_chance_stem"]
    ),
}
SHORTER = {}  # default on digits is meant to be 2 to 3 minutes

# tests/test_own_data.py
# Under smoke settings (20 steps) the parts usually win (digits: .93 against 0); on the contrary set they lose (.033, .058)
USUAL = {
    "11": [
        (
            "exact_parts",
            "exact_stem",
            "higher",
            "parts, nearest neighbours seen",
            "convolutional stem seen",
            "est, exact strips",
        )
    ],
}

# tests/test_wrong_answers.py
WRONG = {
    "11": [
        [
            "def compute_attention(q, k, v, causal):\n    s = np.exp(q @ k.T / np.sqrt(q.shape[1]))\n"
            "    return s / s.sum(axis=1, keepdims=True) @ v",  # no mask, and too large for np.exp
            "right = compute_attention\n"
            "compute_attention = lambda q, k, v, causal: right(q * np.sqrt(q.shape[1]), k, v, causal)",  # not divided by the root
            "def compute_attention(q, k, v, causal):\n    s = q @ k.T / np.sqrt(q.shape[1])\n    s = s - s.max(axis=0)\n"
            "    s = np.exp(np.where(np.triu(np.ones(s.shape, bool), 1) & causal, -np.inf, s))\n"
            "    return s / s.sum(axis=0) @ v",  # columns sum to 1
        ],
        [
            "make_waves = lambda n, w: np.random.default_rng(0).normal(size=(n, w))",
            "make_waves = lambda n, w: np.sin(np.outer(np.arange(n), 10000.0 ** (-np.arange(w) / w)))",  # sines only
            "def make_waves(n, w):\n    a = np.outer(np.arange(n), 10000.0 ** (-np.arange(w // 2) / w))\n"
            "    return np.concatenate([np.sin(a), np.cos(a)], axis=1)",  # i/w, not 2i/w
        ],
        [
            "right = search_beams\nsearch_beams = lambda f, g, n, b: right(f, g, n, 1)",  # greedy
            "right = search_beams\nsearch_beams = lambda f, g, n, b: right(f, g, n, 81)",  # always all
            "right = search_beams\nsearch_beams = lambda f, g, n, b: right(f, g, n, b)[::-1]",
        ],
        [
            "sees_later_words = lambda decoder, words, tokens: False",
            "sees_later_words = lambda decoder, words, tokens: True",
            "def sees_later_words(decoder, words, tokens):\n    changed = words.copy()\n    changed[0, -1] -= 1\n"
            "    a, b = (np.array(decoder([w, tokens])[0])[:, :-1] for w in (words, changed))\n"
            "    return np.abs(a - b).max() > 1e-4",  # changes the last word only
        ],
    ],
}
