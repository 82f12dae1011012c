"""Typical mistakes in the assignments: by assignment and made-up submission, {test that loses its points: (right, wrong)}.

Each `right` stands once in the solutions of its assignment; a submission loses the points of the tests named, and no others.
"""

MISTAKES = {
    "02": {
        "careless": {
            "test_build_stack": ("widths[-2::-1]", "widths[::-1]"),  # the code twice
            "test_train_autoencoder": ("autoencoder.fit(x, x,", "autoencoder.fit(x, 0 * x,"),
            "test_compute_gradient_norms": ("tf.reduce_mean(", "tf.reduce_sum("),
            "test_run_recipe": ("encoders, _ = pretrain(x,", "encoders, _ = pretrain(x_labelled,"),
        },
        "hasty": {
            "test_pretrain": ("train_autoencoder(hidden, units, seed, epochs)", "train_autoencoder(hidden, units, seed)"),
            "test_stack": ("*reversed(decoders)", "*decoders"),
            "test_add_softmax": ('activation="softmax"', 'activation="sigmoid"'),
            "test_run_recipe": ("    classifier.compile(", "    for layer in encoders:\n        layer.trainable = False\n    classifier.compile("),
        },
        "forgetful": {
            "test_train_autoencoder": ("keras.utils.set_random_seed(seed)\n    encoder = layers", "encoder = layers"),
            "test_pretrain": ("hidden = np.asarray(encoder(hidden))", "hidden = np.asarray(decoder(encoder(hidden)))"),
            "test_compute_gradient_norms": (" if len(weight.shape) == 2", ""),
            "test_run_recipe": (
                "add_softmax(encoders, 10)",
                'add_softmax([layers.Dense(units, activation="sigmoid") for units in widths], 10)',
            ),  # new layers: the pretrained weights are lost
            "test_my_numbers": ('data.y_train, mine["per_class"], mine["seed"]', 'data.y_train, mine["per_class"], 0'),
        },
        "leaky": {  # two that only hidden tests see, and one trained on what it is measured by
            "test_compute_gradient_norms": (
                "return [float(tf.norm(gradient)) for gradient in tape.gradient(loss, kernels)]",
                "return [10.0 for _ in kernels]",
            ),
            "test_build_stack": ("units = [*widths, *widths[-2::-1], n_pixels]", "units = [*widths, *[6, 12][-len(widths) + 1 :], n_pixels]"),
            "test_my_numbers": ("x_train[my_labelled], data.y_train[my_labelled]", "x_val, data.y_val"),
        },
    },
    "03": {
        "careless": {
            "test_compute_psnr": ("mse = ((x - x_hat) ** 2).mean(axis=(1, 2, 3))", "mse = ((x - x_hat) ** 2).mean()"),
            "test_add_gaussian_noise": ("rng.standard_normal(x.shape)", "rng.standard_normal(x.shape[1:])"),
            "test_denoise_with_median": ("size=(1, size, size, 1)", "size=size"),  # wrong axes: across images
            "test_train_denoiser": ("model.fit(x, x,", "model.fit(x, Damage(sigma, seed)(x, training=True),"),  # noise on the target
            "test_my_numbers": ("my_psnr = compute_psnr(data.x_val, my_restored)", "my_psnr = compute_psnr(data.x_val, my_noisy)"),
        },
        "hasty": {
            "test_add_gaussian_noise": ("np.clip(x + sigma * rng.standard_normal(x.shape), 0, 1)", "x + sigma * rng.standard_normal(x.shape)"),
            "test_mask_pixels": ("rng.random(x.shape) < share, 0, x", "rng.random(x.shape) < share, x, 0"),
            "test_damage": ("        if not training:\n            return x\n", ""),
            "test_train_denoiser": ("return denoiser", "return model"),
            "test_measure_levels": ("restore(x_noisy)", "x_noisy"),
        },
        "stale": {  # noise drawn once
            "test_damage": ("seed=self.random)", "seed=0)"),
            "test_train_denoiser": (
                "model.fit(x, x,",
                "x_noisy, model = Damage(sigma, seed)(x, training=True), denoiser\n"
                '    model.compile(optimizer=keras.optimizers.Adam(0.003), loss="mse")\n'
                "    model.fit(x_noisy, x,",
            ),
            "test_build_denoiser": ("layers.Dense(int(np.prod(image_shape))),", 'layers.Dense(int(np.prod(image_shape)), activation="sigmoid"),'),
            "test_my_numbers": ('data.x_val, mine["sigma"], np.random.default_rng(mine["seed"])', 'data.x_val, mine["sigma"], np.random.default_rng(0)'),
        },
        "leaky": {  # constants, and what is given ignored: seen by hidden tests alone
            "test_compute_psnr": ("return float(np.mean(10 * np.log10(1 / mse)))", "return 20.0 if np.ptp(x_hat) == 0 else 30.0"),
            "test_damage": ("self.sigma * noise", "0.1 * noise"),
            "test_train_denoiser": ("    keras.utils.set_random_seed(seed)\n", ""),
            "test_measure_levels": ("np.random.default_rng(seed))", "np.random.default_rng(0))"),
        },
    },
}
