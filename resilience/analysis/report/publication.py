"""Questions that the reproduced publication leaves open, and what this program chose."""

PUBLICATION = (
    "Rojas, Nicolae and Meneses, Evaluating Resilience of Deep Learning Models, "
    "Tecnología en Marcha 33(5), 2020, doi 10.18845/tm.v33i5.5071"
)

COLUMNS = ("left open", "chosen", "why")

CHOICES = (
    (
        "What the mean error is",
        "Top-1 error: the fraction of images whose highest output is not the label's class; an "
        "output that is not finite counts as wrong. The increase over golden is analysed as well",
        "It agrees with the published magnitudes; the increase measures resilience, whereas the "
        "error itself mostly reflects how accurate a model was to begin with",
    ),
    (
        "Range of the random values",
        "Uniform from -1 to 1 unless configured otherwise (parameters low and high)",
        "With this range, real weights give the published error levels",
    ),
    (
        "How layers and weights are drawn",
        "sites=paper: convolution layers uniformly, with replacement, then distinct weights in "
        "each; layerwise and uniform are available",
        "The only one of the three with spreads and growth like the published ones",
    ),
    (
        "Whether perturbations were pooled",
        "All three interpretations: each perturbation separately, pooled after centring each "
        "cell, and pooled without centring; the findings emphasise the first two",
        "Without centring, the difference between zero and random counts as spread",
    ),
    (
        "Which test for equal variances",
        "Brown-Forsythe is the primary test; Bartlett, Levene, Fligner-Killeen and the "
        "multiple-comparisons test of Banga and Fox are reported as well",
        "Bartlett's false positive rate on skewed errors is far above its level",
    ),
)
