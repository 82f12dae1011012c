"""The checks of the exercises refuse wrong answers: three plausible ones for each exercise, after the right ones have passed."""

import nbformat
import pytest
from nbclient import NotebookClient

from conftest import REPOSITORY, SMOKE, read_checked

SOLUTIONS = REPOSITORY / "notebooks" / "solutions"

# By lesson: for exercise 1, 2, ... the wrong answers. They may use what the solutions notebook has defined.
WRONG = {
    "01": [
        [
            "quantise = lambda z, bits: z",
            "quantise = lambda z, bits: np.round(z)",
            "quantise = lambda z, bits: np.round(z * 2**bits) / 2**bits",  # steps of one size, not between the extremes
        ],
        [
            "compute_psnr = lambda x, x_hat: 10 * np.log10(np.mean((x - x_hat) ** 2))",
            "compute_psnr = lambda x, x_hat: 20 * np.log10(1 / np.mean((x - x_hat) ** 2))",
            "compute_psnr = lambda x, x_hat: 10 * np.log(1 / np.mean((x - x_hat) ** 2))",
        ],
        [
            "direction = -direction\nx_changed = decoder.predict(encoder.predict(x_a, verbose=0) + direction, verbose=0)",
            "direction = 0 * direction\nx_changed = decoder.predict(encoder.predict(x_a, verbose=0), verbose=0)",
            "x_changed = data.x_test[data.y_test == b][:10]",
        ],
        [
            "affine = autoencoder",  # not linear
            "parts = [layers.Flatten(), layers.Dense(n_values), layers.Reshape(data.image_shape)]\n"
            "affine = keras.Sequential([keras.Input(data.image_shape), *parts])",  # no code
            "parts = [layers.Flatten(), layers.Dense(latent_dim), layers.Dense(n_values), layers.Reshape(data.image_shape)]\n"
            "affine = keras.Sequential([keras.Input(data.image_shape), *parts])",  # not trained
        ],
    ],
    "02": [
        [
            "mean_derivative = lambda h: h.mean() * (1 - h.mean())",
            "mean_derivative = lambda h: np.mean(1 - h**2)",  # that of tanh
            "mean_derivative = lambda h: np.sum(h * (1 - h)) / len(h)",
        ],
        [
            "encoder_6 = layers.Dense(widths[-1] // 2, activation='sigmoid')\n"
            "decoder_6 = layers.Dense(widths[-1], activation='sigmoid')",  # not trained
            "encoder_6 = layers.Dense(widths[-1] // 4, activation='sigmoid')\n"
            "decoder_6 = layers.Dense(widths[-1], activation='sigmoid')\n"
            "pair = keras.Sequential([keras.Input((widths[-1],)), encoder_6, decoder_6])\n"
            "_ = fit(pair, hidden, hidden, epochs=30, learning_rate=0.02, verbose=False)",  # a quarter of the units
            "encoder_6 = layers.Dense(widths[-1] // 2, activation='sigmoid')\n"
            "decoder_6 = layers.Dense(n_pixels, activation='sigmoid')\n"
            "pair = keras.Sequential([keras.Input((widths[-1],)), encoder_6, decoder_6])\n"
            "_ = fit(pair, hidden, x_train, epochs=30, learning_rate=0.02, verbose=False)",  # back to the pixels
        ],
        [
            "for layer in copied:\n    layer.trainable = True",
            "for layer in copied:\n    layer.trainable = False",
            "copied = [layers.Dense(units, activation='sigmoid') for units in widths]\n"
            "half_frozen = keras.Sequential([keras.Input((n_pixels,)), *copied, layers.Dense(n_classes, activation='softmax')])\n"
            "for layer in copied[:-1]:\n    layer.trainable = False\n"
            "half_frozen.compile(optimizer='adam', loss=loss)\n"
            "_ = half_frozen.fit(x_few, y_few, epochs=60, verbose=0)",  # fresh weights
        ],
        [
            "tanh_stack = build_stack('sigmoid')",
            "tanh_stack = build_stack('relu')",
            "tanh_stack = build_stack('tanh')\ntanh_stack.layers[-1].activation = keras.activations.tanh",
        ],
    ],
    "03": [
        ["mse_of_copying = sigma**2", "mse_of_copying = 0.0", "mse_of_mean_image = np.mean((x_train.mean() - x_val) ** 2)"],
        [
            "def hide_square(x, size, seed):\n    x = x.copy()\n    x[:, :size, :size] = 0\n    return x",  # always the same place
            "def hide_square(x, size, seed):\n    x = x.copy()\n"
            "    for image in x:\n        top, left = np.random.randint(height - size + 1), 0\n"
            "        image[top : top + size, left : left + size] = 0\n    return x",  # not seeded
            "def hide_square(x, size, seed):\n    rng, x = np.random.default_rng(seed), x.copy()\n"
            "    x[rng.random(x.shape) < size**2 / (height * width)] = 0\n    return x",  # pixels, no square
        ],
        ["x_hat_4 = restore(unet, shots[0])", "x_hat_4 = x_val", "x_hat_4 = shots[0]"],
        [
            "residual = unet",
            "residual = keras.Model(base.input, layers.Subtract()([base.input, base.input]))",
            "other = build_unet()\nresidual = keras.Model(other.input, layers.Subtract()([other.input, other.output]))",  # not trained
        ],
    ],
    "04": [
        [
            "strict_threshold = np.quantile(val_score, 0.95)",
            "strict_threshold = np.quantile(val_score, 0.01)",
            "strict_threshold = 2 * val_score.max()",
        ],
        [
            "compute_rate_std = lambda rate, n: rate * (1 - rate) / n",
            "compute_rate_std = lambda rate, n: np.sqrt(rate / n)",
            "n_needed = round(0.05 * 0.95 / 0.005)",
        ],
        [
            "compute_auroc = lambda score, is_anomaly: float(score[is_anomaly].mean() > score[~is_anomaly].mean())",
            "compute_auroc = lambda score, is_anomaly: "
            "np.mean(score[is_anomaly][:, None] > score[~is_anomaly][None, :])",  # ties count nothing
            "compute_auroc = lambda score, is_anomaly: np.mean(score[is_anomaly][:, None] >= score[~is_anomaly][None, :])",
        ],
        [
            "x_dirty = x_normal",
            "dirty_detector = AutoencoderDetector().fit(x_dirty)",
            "dirty_detector = AutoencoderDetector(contamination=0.1).fit(np.concatenate([malignant[:20], x_normal]))",  # another order
        ],
    ],
    "05": [
        [
            "def split_labels(y, share, seed):\n    order = np.random.default_rng(seed).permutation(len(y))\n"
            "    return order[round(share * len(y)) :], order[: round(share * len(y))]",  # ignores the classes
            "def split_labels(y, share, seed):\n    val = [np.flatnonzero(y == k) for k in np.unique(y)]\n"
            "    val = np.concatenate([members[: round(share * len(members))] for members in val])\n"
            "    return np.setdiff1d(np.arange(len(y)), val), val",  # always the first
            "right = split_labels\nsplit_labels = lambda y, share, seed: right(y, share, seed)[::-1]",  # the parts exchanged
        ],
        [
            "absorb = lambda kernel, bias, mean, deviation: (kernel / deviation[:, None], bias)",  # the mean forgotten
            "absorb = lambda kernel, bias, mean, deviation: (kernel * deviation[:, None], bias - mean @ kernel)",
            "absorb = lambda kernel, bias, mean, deviation: (kernel / deviation[:, None], bias - mean @ kernel)",
        ],
        [
            "def mask_columns(x, share, seed):\n"
            "    return x * (np.random.default_rng(seed).random((1, 1, x.shape[2], 1)) >= share)",  # one mask for all images
            "def mask_columns(x, share, seed):\n    return x * (np.random.default_rng(seed).random(x.shape) >= share)",  # pixels
            "def mask_columns(x, share, seed):\n"
            "    return x * (np.random.default_rng(seed).random((len(x), 1, x.shape[2], 1)) < share)",  # the others
        ],
        [
            "before = after",  # the encoder was not frozen
            "between = before = after",  # and never freed
            "two_stages.layers[0].trainable = False",  # still frozen at the end
        ],
    ],
    "06": [
        [
            "right = project\nproject = lambda x_train, x, k: right(x_train, x - x.mean(axis=0) + x_train.mean(axis=0), k)",  # its own mean
            "def project(x_train, x, k):\n    _, _, parts = np.linalg.svd(x_train, full_matrices=False)\n"
            "    return x @ parts[:k].T @ parts[:k]",  # not centred
            "def project(x_train, x, k):\n    mean = x_train.mean(axis=0)\n"
            "    _, _, parts = np.linalg.svd(x_train - mean, full_matrices=False)\n"
            "    return (x - mean) @ parts[:k].T @ parts[:k]",  # the mean is not added again
        ],
        [
            "compute_angles = lambda a, b: np.rad2deg(np.arccos(np.clip(np.linalg.svd(a.T @ b, compute_uv=False), -1, 1)))",  # no QR
            "compute_angles = lambda a, b: np.arccos(np.clip(np.linalg.svd(np.linalg.qr(a)[0].T @ np.linalg.qr(b)[0],"
            " compute_uv=False), -1, 1))",  # radians
            "compute_angles = lambda a, b: np.rad2deg(np.arccos(np.clip(np.diag(np.linalg.qr(a)[0].T @ np.linalg.qr(b)[0]), -1, 1)))",
        ],  # the last: angles between the bases' columns
        [
            "def classify_by_mean(z_few, y_few, z):\n"
            "    means = np.stack([z_few[y_few == label].mean(axis=0) for label in np.unique(y_few)])\n"
            "    return np.sum((z[:, None] - means) ** 2, axis=2).argmin(axis=1)",  # positions, not labels
            "classify_by_mean = lambda z_few, y_few, z: y_few[find_nearest(z_few, z, 1)[:, 0]]",  # the nearest row
            "def classify_by_mean(z_few, y_few, z):\n    labels = np.unique(y_few)\n"
            "    means = np.stack([z_few[y_few == label].mean(axis=0) for label in labels])\n"
            "    return labels[(z @ means.T).argmax(axis=1)]",  # the largest product, which favours long means
        ],
        [
            "shift_encoder = plain_encoder",
            "shift_encoder = keras.Sequential([keras.Input(data.image_shape), layers.Flatten(), "
            "layers.Dense(latent_dim, kernel_initializer='zeros')])",  # a constant code does not move, but keeps nothing
            "x_rolled = roll_images(x_target, 0)\nshift_encoder = train(conv, x_rolled, x_rolled, 1, 64, 0.003)",  # shifted target
        ],
    ],
    "07": [
        [
            "count_addresses = math.comb",  # those at exactly this distance
            "count_addresses = lambda n_bits, radius: sum(math.comb(n_bits, r) for r in range(radius))",  # the last ring forgotten
            "count_addresses = lambda n_bits, radius: 2**radius",
        ],
        [
            "expect_precision = lambda distance, is_hit, k: np.mean(is_hit[np.argsort(distance, kind='stable')[:k]])",  # one order
            "expect_precision = lambda distance, is_hit, k: np.mean(is_hit[distance <= np.sort(distance)[k - 1]])",  # all of the tied
            "expect_precision = lambda distance, is_hit, k: np.sum(is_hit[distance < np.sort(distance)[k - 1]]) / k",  # none of them
        ],
        [
            "fold = lambda components, rotation: components.T",  # no rotation
            "fold = lambda components, rotation: components.T @ rotation.T",  # turned back
            "fold = lambda components, rotation: rotation @ components",  # units and pixels exchanged
        ],
        [
            "my_bits = my_bits[:, :8]",
            "my_bits = my_bits[::-1]",  # another order of the images
            "my_bits = z > np.quantile(z, 0.95, axis=0)",  # bits that are hardly used
        ],
    ],
    "08": [
        [
            "equalise = lambda z_train, z: z / np.sqrt(np.mean(np.square(z_train)))",  # by value: favours the wide code
            "equalise = lambda z_train, z: z / np.mean(np.linalg.norm(z_train, axis=1))",  # the mean length
            "equalise = lambda z_train, z: z / np.sqrt(np.mean(np.sum(np.square(z), axis=1)))",  # each part by its own
        ],
        [
            "compute_kl = lambda rho, rate: rho * np.log(rho / rate)",  # one term
            "compute_kl = lambda rho, rate: rate * np.log(rate / rho) + (1 - rate) * np.log((1 - rate) / (1 - rho))",  # turned round
            "compute_kl = lambda rho, rate: np.sum(rho * np.log(rho / rate) + (1 - rho) * np.log((1 - rho) / (1 - rate)))",  # one number
        ],
        [
            "def keep_winners(z, share):\n    n = max(1, int(share * z.shape[1]))\n"
            "    return ops.where(z >= ops.top_k(z, n)[0][:, -1:], z, 0.0)",  # the largest units of each image
            "def keep_winners(z, share):\n    n = max(1, int(share * z.shape[0]))\n"
            "    return ops.where(z <= ops.sort(z, axis=0)[n - 1], z, 0.0)",  # the smallest
            "def keep_winners(z, share):\n    n = max(1, int(share * z.size))\n"
            "    return ops.where(z >= np.sort(np.ravel(z))[-n], z, 0.0)",  # over the whole batch
        ],
        [
            "pursue = lambda x, atoms, bias, k: (x - bias) @ atoms.T",  # all units
            "right = pursue\npursue = lambda x, atoms, bias, k: right(x, atoms, bias, 2 * k)",  # twice as many
            "right = pursue\npursue = lambda x, atoms, bias, k: right(x, atoms, 0 * bias, k)",  # the bias forgotten
        ],
    ],
    "09": [
        [
            "compute_dice = lambda counts: np.diag(counts) / (counts.sum(0) + counts.sum(1) - np.diag(counts))",  # IoU
            "compute_dice = lambda counts: 2 * np.diag(counts) / np.maximum(counts.sum(0) + counts.sum(1), 1)",  # 0, not NaN
            "compute_dice = lambda counts: np.diag(counts) / counts.sum(1)",  # the share that is found
        ],
        [
            "count_objects = lambda mask, smallest: np.array([int((mask == k).any()) for k in range(background)])",
            "count_objects = lambda mask, smallest: np.array([label(mask == k)[1] for k in range(background)])",  # also small ones
            "count_objects = lambda mask, smallest: "
            "np.array([np.sum(np.bincount(label(mask == k)[0].ravel()) >= smallest) for k in range(background)])",  # the rest, too
        ],
        [
            "def build_flat():\n    x = scene = keras.Input((None, None, data.image_shape[2]))\n"
            "    for _ in range(7):\n        x = layers.Conv2D(16, 3, padding='same', activation='relu')(x)\n"
            "    return keras.Model(scene, layers.Conv2D(background + 1, 1, activation='softmax')(x))",  # 7 pixels
            "build_flat = lambda: build_unet([8, 16, 32, 64])",  # halves the size
            "def build_flat():\n    x = scene = keras.Input((None, None, data.image_shape[2]))\n"
            "    x = layers.Conv2D(8, 41, padding='same', activation='relu')(x)\n"
            "    return keras.Model(scene, layers.Conv2D(background + 1, 1, activation='softmax')(x))",  # large kernels
        ],
        [
            "segment_in_tiles = lambda network, x, tile, margin: segment(network, x)",  # the whole scene at once
            "right = segment_in_tiles\nsegment_in_tiles = lambda network, x, tile, margin: right(network, x, tile, 0)",
            "def segment_in_tiles(network, x, tile, margin):\n    y_hat = np.zeros(x.shape[:3], 'uint8')\n"
            "    for top in range(0, x.shape[1], tile):\n        for left in range(0, x.shape[2], tile):\n"
            "            piece = x[:, max(0, top - margin) : top + tile + margin, max(0, left - margin) : left + tile + margin]\n"
            "            answer = network.predict_on_batch(piece).argmax(axis=-1)[:, :tile, :tile]\n"
            "            y_hat[:, top : top + tile, left : left + tile] = answer\n    return y_hat",  # the corner of the piece
        ],
    ],
    "10": [
        [
            "compute_rate_to = lambda m, v, m_0, v_0: 0.5 * (m**2 + np.exp(v) - v - 1)",  # the standard prior
            "compute_rate_to = lambda m, v, m_0, v_0: 0.5 * ((m - m_0) ** 2 + np.exp(v - v_0) - (v - v_0) - 1)",  # distance not in its units
            "compute_rate_to = lambda m, v, m_0, v_0: 0.5 * ((m - m_0) ** 2 / np.exp(v) + np.exp(v_0 - v) - (v_0 - v) - 1)",  # turned round
        ],
        [
            "log_mean_exp = lambda log_w: np.log(np.mean(np.exp(log_w), axis=0))",  # 0 or infinity
            "log_mean_exp = lambda log_w: np.mean(log_w, axis=0)",  # the mean of the logarithms
            "log_mean_exp = lambda log_w: log_w.max(axis=0) + np.log(np.sum(np.exp(log_w - log_w.max(axis=0)), axis=0))",  # the sum
        ],
        [
            "interpolate_on_sphere = lambda z_a, z_b, t: (1 - t) * z_a + t * z_b",  # straight
            "def interpolate_on_sphere(z_a, z_b, t):\n    z, size = (1 - t) * z_a + t * z_b, np.linalg.norm\n"
            "    return z / size(z) * ((1 - t) * size(z_a) + t * size(z_b))",  # right length, angle not even
            "def interpolate_on_sphere(z_a, z_b, t):\n    a, b = z_a / np.linalg.norm(z_a), z_b / np.linalg.norm(z_b)\n"
            "    omega = np.arccos(a @ b)\n"
            "    return (np.sin((1 - t) * omega) * a + np.sin(t * omega) * b) / np.sin(omega)",  # length 1
        ],
        [
            "class NoNoise(VAE):\n    pass\n\n\nno_noise = train(NoNoise)",  # nothing changed
            "no_noise = NoNoise(build_encoder(latent_dim), build_decoder(latent_dim))",  # not trained
            "class NoNoise(VAE):\n    def sample(self, z_mean, z_log_var):\n        return 0 * z_mean\n\n\nno_noise = train(NoNoise)",  # no code at all
        ],
    ],
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


def test_every_solutions_notebook_is_run_here():
    assert sorted(WRONG) == sorted(path.name[:2] for path in SOLUTIONS.glob("[0-9][0-9]_*.ipynb"))


@pytest.mark.slow
@pytest.mark.parametrize("lesson", WRONG)
def test_each_check_refuses_three_wrong_answers(lesson):
    (path,) = SOLUTIONS.glob(f"{lesson}_*.ipynb")
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    parameters = next(cell for cell in code if "parameters" in cell.metadata.get("tags", []))
    names = {line.split(":")[0].strip() for line in parameters.source.splitlines()}
    parameters.source += "".join(f"\n{name} = {value!r}" for name, value in SMOKE.items() if name in names)
    committed = read_checked(notebook)
    checks = [cell.source for cell in code if "check" in cell.metadata.get("tags", [])]
    assert len(checks) == len(WRONG[lesson]) and all(len(answers) == 3 for answers in WRONG[lesson])
    # Each wrong answer is tried in a copy of the names, so that the right answers of the other exercises stay.
    tries = [
        f"names = dict(globals())\nexec({answer!r}, names)\nexec({check!r}, names)"
        for check, answers in zip(checks, WRONG[lesson])
        for answer in answers
    ]
    notebook.cells = [*code, *map(nbformat.v4.new_code_cell, tries)]
    NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
    assert read_checked(notebook) == committed
    printed = ["".join(output.get("text", "") for output in cell.outputs) for cell in notebook.cells]
    right = [text for cell, text in zip(notebook.cells, printed) if "check" in cell.metadata.get("tags", [])]
    assert all(text.endswith(": solved\n") for text in right), right
    for source, text in zip(tries, printed[-len(tries) :]):
        assert "not solved yet" in text, (source, text)
