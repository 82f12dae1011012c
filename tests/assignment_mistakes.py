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
            "test_run_recipe": (
                "    classifier.compile(",
                "    for layer in encoders:\n        layer.trainable = False\n    classifier.compile(",
            ),
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
            "test_build_stack": (
                "units = [*widths, *widths[-2::-1], n_pixels]",
                "units = [*widths, *[6, 12][-len(widths) + 1 :], n_pixels]",
            ),
            "test_my_numbers": ("x_train[my_labelled], data.y_train[my_labelled]", "x_val, data.y_val"),
        },
    },
    "03": {
        "careless": {
            "test_compute_psnr": ("mse = ((x - x_hat) ** 2).mean(axis=(1, 2, 3))", "mse = ((x - x_hat) ** 2).mean()"),
            "test_add_gaussian_noise": ("rng.standard_normal(x.shape)", "rng.standard_normal(x.shape[1:])"),
            "test_denoise_with_median": ("size=(1, size, size, 1)", "size=size"),  # wrong axes: across images
            "test_train_denoiser": (
                "model.fit(x, x,",
                "model.fit(x, Damage(sigma, seed)(x, training=True),",
            ),  # noise on the target
            "test_my_numbers": (
                "my_psnr = compute_psnr(data.x_val, my_restored)",
                "my_psnr = compute_psnr(data.x_val, my_noisy)",
            ),
        },
        "hasty": {
            "test_add_gaussian_noise": (
                "np.clip(x + sigma * rng.standard_normal(x.shape), 0, 1)",
                "x + sigma * rng.standard_normal(x.shape)",
            ),
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
            "test_build_denoiser": (
                "layers.Dense(int(np.prod(image_shape))),",
                'layers.Dense(int(np.prod(image_shape)), activation="sigmoid"),',
            ),
            "test_my_numbers": (
                'data.x_val, mine["sigma"], np.random.default_rng(mine["seed"])',
                'data.x_val, mine["sigma"], np.random.default_rng(0)',
            ),
        },
        "leaky": {  # constants, and what is given ignored: seen by hidden tests alone
            "test_compute_psnr": ("return float(np.mean(10 * np.log10(1 / mse)))", "return 20.0 if np.ptp(x_hat) == 0 else 30.0"),
            "test_damage": ("self.sigma * noise", "0.1 * noise"),
            "test_train_denoiser": ("    keras.utils.set_random_seed(seed)\n", ""),
            "test_measure_levels": ("np.random.default_rng(seed))", "np.random.default_rng(0))"),
        },
    },
    "04": {
        "careless": {
            "test_pick_normal": ("y == normal_class", "y != normal_class"),
            "test_compute_score": ("return np.mean(np.square(x - x_hat), axis=1)", "return np.sum(np.square(x - x_hat), axis=1)"),
            "test_choose_threshold": ("1 - false_alarm_rate", "false_alarm_rate"),
            "test_judge": ("flagged[is_anomaly].mean()", "is_anomaly[flagged].mean()"),
            "test_compute_auroc": (
                "score[is_anomaly][:, None] - score[~is_anomaly]",
                "score[~is_anomaly][:, None] - score[is_anomaly]",
            ),
            "test_compute_precision": ("share * recall, (1 - share) * false_alarms", "recall, false_alarms"),
        },
        "hasty": {
            "test_build_autoencoder": (', activation="sigmoid"', ""),
            "test_compute_score": (
                "np.mean(np.square(x - x_hat), axis=1) / (ink + 0.01)",
                "np.mean(np.square(x - x_hat)) / (ink.mean() + 0.01)",
            ),
            "test_score_by_distance": ("x_normal.mean(axis=0)", "x.mean(axis=0)"),
            "test_run_detector": (
                "compute_score(x_held_out, autoencoder.predict(x_held_out, verbose=0))",
                "compute_score(x_normal, autoencoder.predict(x_normal, verbose=0))",
            ),
            "test_my_numbers": ("pick_normal(data.x_val, data.y_val,", "pick_normal(data.x_train, data.y_train,"),
        },
        "leaky": {  # only hidden tests see them: trained on what sets the threshold, typed in, a number of somebody else's
            "test_run_detector": (
                "autoencoder.fit(x_normal, x_normal,",
                "x_normal = np.concatenate([x_normal, x_held_out])\n    autoencoder.fit(x_normal, x_normal,",
            ),
            "test_compute_auroc": (
                "return float(np.mean(difference > 0)",
                "return 0.75 if np.ptp(score) > 0 else 0.5\n    return float(np.mean(difference > 0)",
            ),
            "test_my_numbers": ('mine["latent_dim"]', "9"),
        },
        "forgetful": {"test_run_detector": ("keras.utils.set_random_seed(seed)", "pass")},
    },
    "05": {
        "careless": {
            "test_choose_labelled": ("default_rng(seed)", "default_rng(0)"),
            "test_rescale": ("(bias - z.mean(axis=0)) / deviation", "bias / deviation"),
            "test_train_classifier": ("classifier.layers[0].trainable = not frozen", "pass"),
            "test_measure_accuracy": ("np.mean(p.argmax(axis=1) == y)", "np.sum(p.argmax(axis=1) == y)"),
            "test_train_three": ("transfer(pretrained, encoder)", "pass"),
            "test_describe_gain": ("ddof=1", "ddof=0"),
        },
        "hasty": {
            "test_build_classifier": (', activation="softmax"', ""),
            "test_pretrain": (
                "keras.Sequential([encoder, decoder])",
                "keras.Sequential([keras.models.clone_model(encoder), decoder])",
            ),
            "test_transfer": ("target.set_weights(source.get_weights())", "source.set_weights(target.get_weights())"),
            "test_train_classifier": (
                "classifier.layers[0].trainable = not frozen",
                "if frozen:\n        classifier.layers[0].trainable = False",
            ),
            "test_my_numbers": ("classifier, data.x_test, data.y_test", "classifier, data.x_val, data.y_val"),
        },
        "leaky": {  # only hidden tests see them: no seed, typed in, few images pretrained on, a number of somebody else's
            "test_pretrain": ("keras.utils.set_random_seed(seed)\n    decoder", "decoder"),
            "test_measure_accuracy": ("float(np.mean(p.argmax(axis=1) == y))", "0.75"),
            "test_train_three": ("pretrain(pretrained, x, seed)", "pretrain(pretrained, x_labelled, seed)"),
            "test_my_numbers": ('mine["latent_dim"]', "30"),
        },
        "forgetful": {  # one deviation for all units; one encoder for all classifiers
            "test_rescale": ("z.std(axis=0) > 0, z.std(axis=0), 1", "z.std() > 0, z.std(), 1"),
            "test_train_three": (
                "encoder = build_encoder(x.shape[1:], hidden_units, latent_dim)\n        if",
                "encoder = pretrained\n        if",
            ),
        },
    },
    "06": {
        "careless": {
            "test_fit_pca": ("np.sum(s[:n_units] ** 2) / np.sum(s**2)", "np.sum(s[:n_units]) / np.sum(s)"),
            "test_reconstruct": ("return z @ components + mean", "return z @ components"),
            "test_train_linear": ("centred = x - x.mean(axis=0)", "centred = x"),
            "test_compute_angles": ("np.linalg.qr(a)[0], np.linalg.qr(b)[0]", "a, b"),
            "test_scale_features": ("np.sum((z_train - mean) ** 2, axis=1)", "(z_train - mean) ** 2"),
            "test_train_code": ("autoencoder.fit(inputs, targets,", "autoencoder.fit(targets, inputs,"),
            "test_choose_size": ("return min(s for", "return max(s for"),
        },
        "hasty": {
            "test_build_linear": ('use_bias=False, name="encoder"', 'name="encoder"'),
            "test_compute_angles": ("np.rad2deg(np.arccos(np.clip(cosines, -1, 1)))", "np.arccos(np.clip(cosines, -1, 1))"),
            "test_scale_features": ("mean = z_train.mean(axis=0)", "mean = z.mean(axis=0)"),
            "test_measure_neighbours": ("distance.argmin(axis=1)", "distance.argmax(axis=1)"),
            "test_my_numbers": ("x_val_hat = mean + my_linear.predict(x_val - mean", "x_val_hat = my_linear.predict(x_val"),
        },
        "leaky": {  # only hidden tests see them: no seed, typed in three times, a seed of somebody else's
            "test_train_linear": ("keras.utils.set_random_seed(seed)\n    centred", "centred"),
            "test_train_code": ("batch_size=64, epochs=epochs", "batch_size=64, epochs=8"),
            "test_measure_neighbours": (
                "return float(np.mean(y_train[distance.argmin(axis=1)] == y))",
                "return 0.75",
            ),
            "test_choose_size": ("max(accuracies) - tolerance", "max(accuracies) if tolerance < 0.5 else 0"),
            "test_my_numbers": (
                'train_linear(x_train, mine["n_units"], mine["seed"])',
                'train_linear(x_train, mine["n_units"], 0)',
            ),
        },
    },
    "07": {
        "careless": {
            "test_to_bits": ("np.median(z_train, axis=0)", "np.mean(z_train, axis=0)"),
            "test_pack": ("np.packbits(bits, axis=1)", "np.packbits(bits)"),
            "test_compute_hamming": ("np.bitwise_count(differing).sum(axis=2)", "(differing > 0).sum(axis=2)"),
            "test_rank": ("np.argsort(distance, axis=1", "np.argsort(-distance, axis=1"),
            "test_rotate_itq": ("rotation, _ = np.linalg.qr(start)", "rotation = start"),
            "test_build_hasher": (", gamma_initializer=two", ""),
            "test_train_hasher": ("hasher.fit(x, x_target,", "hasher.fit(x, x,"),
        },
        "hasty": {
            "test_to_bits": ("np.median(z_train, axis=0)", "np.median(z, axis=0)"),
            "test_compute_precision": (
                "np.mean(y_database[near] == y_query[:, None])",
                "np.mean((y_database[near] == y_query[:, None]).any(axis=1))",
            ),
            "test_project_pca": ("return (x - x_mean)", "return (x - x.mean(axis=0))"),
            "test_rotate_itq": ("rotation = u @ vt", "rotation = (u @ vt).T"),
            "test_build_hasher": ('layers.Dense(n_values, activation="sigmoid")', "layers.Dense(n_values)"),
            "test_my_numbers": ("train_hasher(x_deformed, x_straight,", "train_hasher(x_straight, x_straight,"),
        },
        "leaky": {  # only hidden tests see them: two bytes at most, one iteration, a seed of somebody else's
            "test_pack": ("np.packbits(bits, axis=1)", "np.packbits(bits[:, :16], axis=1)"),
            "test_rotate_itq": ("for _ in range(n_iterations):", "for _ in range(min(n_iterations, 1)):"),
            "test_my_numbers": ('x_straight, mine["n_bits"], mine["seed"])', 'x_straight, mine["n_bits"], 0)'),
        },
        "forgetful": {
            "test_train_hasher": ("keras.utils.set_random_seed(seed)\n    encoder, hasher", "encoder, hasher"),
        },
    },
    "08": {
        "careless": {
            "test_top_k": ("z >= threshold", "z > threshold"),
            "test_count_units": ("~is_active.any(axis=0)", "~is_active.all(axis=0)"),
            "test_build_encoder": ("Normalization(mean=x_mean", "Normalization(mean=0 * x_mean"),
            "test_build_decoder": ("np.linalg.norm(kernel, axis=1, keepdims=True)", "np.linalg.norm(kernel, axis=0)"),
            "test_train_autoencoder": ("n_units, k=k, l1=l1)", "n_units, l1=l1)"),
            "test_restore_with_pca": ("np.argsort(-np.abs(z), axis=1)", "np.argsort(-z, axis=1)"),
            "test_choose_setting": ("classifier.score(z_val, y_val)", "classifier.score(z_few, y_few)"),
        },
        "hasty": {
            "test_top_k": ('{**super().get_config(), "k": self.k}', "super().get_config()"),
            "test_compute_kl_penalty": ("return ops.sum(on + off)", "return ops.mean(on + off)"),
            "test_build_decoder": ("code.set_weights([kernel.T, code.get_weights()[1]])", "pass"),
            "test_scale_features": ("np.sum(np.square(z_train), axis=1)", "np.square(z_train)"),
            "test_my_numbers": (
                "count_units(my_codes, 0.0)",
                "count_units(my_encoder.predict(x_train, verbose=0), 0.0)",
            ),
        },
        "leaky": {  # only hidden tests see them: typed in, no gradient, no seed, one C alone, a seed of somebody else's
            "test_top_k": ("ops.top_k(z, self.k)", "ops.top_k(z, 2)"),
            "test_compute_kl_penalty": ("ops.mean(z, axis=0)", "np.mean(np.asarray(z), axis=0)"),
            "test_train_autoencoder": ("keras.utils.set_random_seed(seed)\n    x_mean", "x_mean"),
            "test_choose_setting": ("for C in C_values:", "for C in C_values[:1]:"),
            "test_my_numbers": ('mine["n_units"], mine["seed"]', 'mine["n_units"], 0'),
        },
    },
    "09": {
        "careless": {
            "test_draw_scenes": ("list(digits).index(c)", "sorted(digits).index(c)"),
            "test_count_pairs": ("n_classes * y.astype(int) + y_hat", "n_classes * y_hat.astype(int) + y"),
            "test_compute_iou": ("counts.sum(axis=1) - both", "counts.sum(axis=1)"),
            "test_build_encoder": ("maps.append(add_block(halved, width))", "maps.append(halved)"),
            "test_build_decoder": ("layers.Concatenate()([maps[level], x]) if skips else x", "x"),
            "test_segment_with_cuts": ("maps[level].mean(axis=(0, 1, 2))", "maps[level].mean(axis=(1, 2), keepdims=True)"),
        },
        "hasty": {
            "test_compute_iou": ("np.maximum(either, 1), np.nan)", "np.maximum(either, 1), 0.0)"),
            "test_compute_miou": (
                "np.nanmean(compute_iou(count_pairs(y, y_hat, n_classes)))",
                "np.mean([np.nanmean(compute_iou(count_pairs(*pair, n_classes))) for pair in zip(y, y_hat)])",
            ),
            "test_build_decoder": (', activation="softmax"', ""),
            "test_train_network": ("network.fit(x, y,", "network.fit(x, 0 * y,"),
            "test_segment": (".argmax(axis=-1)", ".argmax(axis=1)"),
            "test_my_numbers": ("(y_mine, y_hat, 4)", "(y_mine, y_mine, 4)"),
        },
        "leaky": {  # only hidden tests see them: one seed, uint8, one size, typed in, no skips passed on, one mean, another seed
            "test_draw_scenes": ("n_objects=(2, 3), seed=seed", "n_objects=(2, 3), seed=0"),
            "test_count_pairs": ("y.astype(int)", "y"),
            "test_build_encoder": ("keras.Input((None, None, 1))\n    maps", "keras.Input((32, 32, 1))\n    maps"),
            "test_build_decoder": ("layers.Conv2D(n_classes, 1", "layers.Conv2D(4, 1"),
            "test_train_network": ("build_decoder(widths, n_classes, skips)", "build_decoder(widths, n_classes)"),
            "test_segment_with_cuts": ("maps[level].mean(axis=(0, 1, 2))", "maps[level].mean()"),
            "test_my_numbers": ('[8, 16, 32], 4, mine["seed"]', "[8, 16, 32], 4, 0"),
        },
        "forgetful": {  # no seed; zeros in place of the mean
            "test_train_network": ("keras.utils.set_random_seed(seed)\n    encoder", "encoder"),
            "test_segment_with_cuts": ("np.broadcast_to(means, maps[level].shape)", "np.zeros_like(maps[level])"),
        },
    },
    "10": {
        "careless": {
            "test_compute_kl": ("0.5 * ops.sum(", "0.5 * ops.mean("),
            "test_sample": ("ops.exp(0.5 * z_log_var)", "ops.exp(z_log_var)"),
            "test_compute_log_likelihood": ("return ops.sum(", "return ops.mean("),
            "test_build_networks": ("[layers.Dense(latent_dim)(h) for _ in range(2)]", "[layers.Dense(latent_dim)(h)] * 2"),
            "test_vae": ("self.decoder(z)) - compute_kl", "self.decoder(z)) + compute_kl"),
            "test_score_pixels": ("x_train.mean(axis=0)", "x.mean(axis=0)"),
            "test_draw_images": ("expit(np.asarray(decoder(z)))", "np.asarray(decoder(z))"),
        },
        "hasty": {
            "test_vae": ("add_loss(-ops.mean(", "add_loss(ops.mean("),
            "test_train_vae": ("build_networks(x.mean(axis=0), latent_dim)", "build_networks(x.mean(axis=0), 8)"),
            "test_compute_bound": ("logsumexp(log_weight, axis=0) - np.log(k)", "log_weight.mean(axis=0)"),
            "test_my_numbers": ('x_val, mine["k"], mine["seed"]', 'x_val, 1, mine["seed"]'),
        },
        "leaky": {  # only hidden tests see them: one seed, overflow, log of 0, no chance, uniform codes, another seed
            "test_sample": ("seed=generator", "seed=0"),
            "test_compute_log_likelihood": ("ops.softplus(log_odds)", "ops.log(1 + ops.exp(log_odds))"),
            "test_build_networks": ("np.clip(x_mean, 0.01, 0.99)", "x_mean"),
            "test_vae": ("z = sample(z_mean, z_log_var, self.generator)", "z = z_mean"),
            "test_train_vae": ("epochs=epochs", "epochs=40"),
            "test_compute_bound": (
                "logsumexp(log_weight, axis=0) - np.log(k)",
                "np.log(np.mean(np.exp(log_weight), axis=0))",
            ),
            "test_draw_images": (".standard_normal((n, latent_dim))", ".random((n, latent_dim))"),
            "test_my_numbers": (
                'train_vae(x_train, mine["latent_dim"], mine["seed"])',
                'train_vae(x_train, mine["latent_dim"], 0)',
            ),
        },
        "forgetful": {
            "test_train_vae": ("keras.utils.set_random_seed(seed)\n    encoder", "encoder"),
            "test_compute_bound": ("default_rng(seed).standard_normal((k", "default_rng(0).standard_normal((k"),
        },
    },
    "11": {
        "careless": {
            "test_compute_loss": ("following = words[:, 1:]", "following = words[:, :-1]"),  # the word itself
            "test_attend": ("q @ k.swapaxes(2, 3) / np.sqrt(q.shape[-1])", "q @ k.swapaxes(2, 3)"),
            "test_attend_step": ("np.concatenate([cache[0], keys], axis=1)", "np.concatenate([keys, cache[0]], axis=1)"),
            "test_write_greedily": ("np.where(has_ended, PAD, chosen)", "chosen"),
            "test_build_block": ("layers.Add()([tokens, attention(", "layers.Add()([y, attention("),
            "test_hide_patches": (  # one order for all: it passes the known test; if none passed, nothing would be judged
                "rng.random(patches.shape[:2]).argsort(axis=1)",
                "np.tile(rng.permutation(patches.shape[1]), (len(patches), 1))",
            ),
        },
        "hasty": {
            "test_compute_loss": ("-log_p[following != PAD].mean()", "-log_p.mean()"),
            "test_attend_step": ("q, keys) / np.sqrt(q.shape[-1])", "q, keys) / np.sqrt(x.shape[1] // q.shape[1])"),
            "test_write_greedily": (
                "END + np.asarray(next_logits(words))[:, END:].argmax(axis=1)",
                "np.asarray(next_logits(words)).argmax(axis=1)",
            ),
            "test_hide_patches": ("places = order[:, :", "places = order.argsort(axis=1)[:, :"),
            "test_my_numbers": ("np.mean(is_right[is_word])", "np.mean(is_right)"),
        },
        "leaky": {  # only hidden tests see them: overflow, one mask for all, typed in, no activation, another seed
            "test_compute_loss": (
                "log_p = log_softmax(logits, axis=-1)",
                "log_p = np.log(np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True))",
            ),
            "test_attend": ("np.where(allowed[:, None]", "np.where(allowed[:1, None]"),
            "test_write_greedily": ("words.shape[1] <= longest and", "words.shape[1] <= min(longest, 6) and"),
            "test_build_block": (', activation="gelu"', ""),
            "test_my_numbers": ('train_reader(mine["n_heads"], mine["seed"])', 'train_reader(mine["n_heads"], 0)'),
        },
    },
    "12": {
        "careless": {
            "test_quantise": ("np.sum(codebook**2, axis=1) - 2 * z @ codebook.T", "-z @ codebook.T"),
            "test_update_codebook": ("np.add.at(totals, codes, z)", "totals[codes] += z"),
            "test_quantiser": ("return z + ops.stop_gradient(e - z)", "return e"),
            "test_train_vqvae": ("quantiser.codebook.assign(codebook)", "pass"),
            "test_compute_bits": ("/ np.log(2)", "/ 1"),
            "test_write_codes": ("next_logits(codes, y), next", "next_logits(known, y), next"),
        },
        "hasty": {
            "test_quantise": (
                "np.argmin(distance, axis=-1)",
                "len(codebook) - 1 - np.argmin(distance[..., ::-1], axis=-1)",
            ),
            "test_update_codebook": ("sums[is_dead] = mean * drawn", "sums[is_dead] = drawn"),
            "test_train_vqvae": ("keras.utils.set_random_seed(seed)\n    generator", "generator"),  # only hidden tests see it
            "test_steer": ("without + guidance * (logits - without)", "logits + guidance * (logits - without)"),
            "test_write_codes": ("generator.random((len(y), 1))", "generator.random()"),
            "test_my_numbers": ("np.full(len(x_val), -1)", "np.zeros(len(x_val), int)"),
        },
        "leaky": {  # only hidden tests see them: the first vector, beta typed in, overflow, one sum for all, another seed
            "test_update_codebook": ("generator.integers(len(z), size=is_dead.sum())", "np.zeros(is_dead.sum(), int)"),
            "test_quantiser": ("self.beta * ops.mean(gap)", "0.5 * ops.mean(gap)"),
            "test_compute_bits": ("logits = logits - logits.max(axis=1, keepdims=True)", "pass"),
            "test_steer": ("p / p.sum(axis=1, keepdims=True)", "p / p.sum() * len(p)"),
            "test_write_codes": ("steer(logits, without, guidance, temperature, top_k)", "steer(logits, without, guidance)"),
            "test_my_numbers": ('mine["n_codes"], mine["seed"])', 'mine["n_codes"], 0)'),
        },
    },
}
