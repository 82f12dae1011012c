WRONG_13 = [
    [
        "compute_score = lambda find_v, x, t: (x + (1 - t) * find_v(x, t)) / t",  # away from the pictures
        "compute_score = lambda find_v, x, t: -(x + (1 - t) * find_v(x, t))",  # the noise, not divided
        "compute_score = lambda find_v, x, t: (x - t * find_v(x, t) - x) / t",  # the step to the clean estimate
    ],
    [
        "sample_two_step = lambda find_v, x, times: sample(find_v, x, times)",  # Euler
        "def sample_two_step(find_v, x, times):\n"
        "    v_old = None\n"
        "    for t, r in zip(times[:-1], times[1:]):\n"
        "        v = find_v(x, t)\n"
        "        change = 0 if v_old is None else (v - v_old) / 2\n"
        "        x, v_old = x + (r - t) * (v + change), v\n"
        "    return x",  # steps of equal length only
        "sample_two_step = lambda find_v, x, times: sample(find_v, x, times, 'Heun')",  # two calls
    ],
    [
        "find_noise = lambda find_v, x, times: np.random.default_rng(0).normal(size=x.shape)",  # no pair
        "find_noise = lambda find_v, x, times: sample(find_v, x, times)",  # down once more
        "def find_noise(find_v, x, times):\n"
        "    for t, r in zip(times[::-1][:-1], times[::-1][1:]):\n"
        "        x = x - (r - t) * find_v(x, t)\n"
        "    return x",  # against the velocity
    ],
    [
        "clean_flow = toy\nfind_clean_velocity = lambda x, t: find_toy_velocity(x, t)",  # says the velocity
        "find_clean_velocity = lambda x, t: ask_network(clean_flow.average, x, t, np.full(len(x), n_toy))",  # not turned
        "find_clean_velocity = lambda x, t: "
        "(x - ask_network(clean_flow.average, x, t, np.full(len(x), n_toy))) / (1 - t)",  # divided by the wrong share
    ],
]
