"""Functions of SciPy and scikit-learn that never heard of graphnn, on its arrays: do they give what NumPy's give?

    SCIPY_ARRAY_API=1 python tests/array_api/foreign.py

prints a line for each; the exit status tells whether all are right. scikit-learn is left out where it is not installed.
"""

import sys
import warnings

import numpy as np
import scipy

import graphnn as gn

xp = gn.array_api
RNG = np.random.default_rng(0)
TABLE = RNG.normal(size=(40, 5))
ONE, OTHER = TABLE[:, 0], TABLE[:, 1]
SHARE = np.abs(OTHER) / (1 + np.abs(OTHER))
CLASSES = (TABLE[:, 0] + 0.3 * RNG.normal(size=40) > 0).astype(np.int64)
GUESSES = np.roll(CLASSES, 3)


def scipy_functions():
    """Name, function of arrays, arrays."""
    for name in ("erf", "gammaln", "expit", "logit", "ndtr", "log_softmax", "softmax", "logsumexp", "entr"):
        yield f"scipy.special.{name}", getattr(scipy.special, name), (SHARE,)
    yield "scipy.special.xlogy", scipy.special.xlogy, (SHARE, SHARE)
    for name in ("zscore", "skew", "kurtosis", "sem", "variation", "rankdata", "moment", "iqr", "trim_mean"):
        arguments = (TABLE, 0.1) if name == "trim_mean" else (TABLE,)
        yield f"scipy.stats.{name}", getattr(scipy.stats, name), arguments
    yield "scipy.stats.gmean", scipy.stats.gmean, (np.abs(TABLE),)
    for name in ("pearsonr", "ttest_ind", "ttest_rel", "mannwhitneyu", "wilcoxon", "levene", "f_oneway", "bartlett"):
        yield f"scipy.stats.{name}", _pvalue(getattr(scipy.stats, name)), (ONE, OTHER)
    for name in ("trapezoid", "simpson", "cumulative_simpson"):
        yield f"scipy.integrate.{name}", getattr(scipy.integrate, name), (ONE,)
    yield "scipy.integrate.cubature", lambda a: scipy.integrate.cubature(_squares, a, a + 1.0).estimate, (np.zeros(2),)
    yield "scipy.optimize.elementwise.find_root", _root, (np.zeros(2), np.full(2, 2.0))
    yield (
        "scipy.differentiate.derivative",
        lambda x: scipy.differentiate.derivative(_cube, x).df,
        (np.array([0.5, 1.0]),),
    )
    yield "scipy.ndimage.gaussian_filter", lambda x: scipy.ndimage.gaussian_filter(x, 1.0), (TABLE,)
    yield "scipy.signal.detrend", scipy.signal.detrend, (ONE,)
    yield "scipy.spatial.transform.Rotation", _matrix, (np.array([0.0, 0.0, 0.6, 0.8]),)


def _squares(x):
    return x.__array_namespace__().sum(x * x, axis=-1) if isinstance(x, xp.Array) else np.sum(x * x, axis=-1)


def _cube(x):
    return x * x * x


def _pvalue(test):
    return lambda x, y: test(x, y).pvalue


def _root(low, high):
    import scipy.optimize.elementwise

    return scipy.optimize.elementwise.find_root(lambda x: x * x - 2.0, (low, high)).x


def _matrix(quaternion):
    return scipy.spatial.transform.Rotation.from_quat(quaternion).as_matrix()


def sklearn_functions():
    import sklearn
    from sklearn import decomposition, discriminant_analysis, linear_model, metrics, preprocessing

    sklearn.set_config(array_api_dispatch=True)
    for name in ("accuracy_score", "f1_score", "precision_score", "recall_score", "confusion_matrix", "jaccard_score"):
        yield f"sklearn.metrics.{name}", getattr(metrics, name), (CLASSES, GUESSES)
    for name in ("mean_squared_error", "mean_absolute_error", "r2_score", "explained_variance_score", "max_error"):
        yield f"sklearn.metrics.{name}", getattr(metrics, name), (ONE, OTHER)
    for name in ("log_loss", "brier_score_loss", "average_precision_score"):
        yield f"sklearn.metrics.{name}", getattr(metrics, name), (CLASSES, SHARE)
    for name in ("euclidean_distances", "cosine_similarity", "rbf_kernel", "polynomial_kernel", "manhattan_distances"):
        yield f"sklearn.metrics.pairwise.{name}", getattr(metrics.pairwise, name), (TABLE,)
    for name in ("StandardScaler", "MinMaxScaler", "MaxAbsScaler", "Normalizer", "PolynomialFeatures"):
        yield f"sklearn.preprocessing.{name}", getattr(preprocessing, name)().fit_transform, (TABLE,)
    yield "sklearn.decomposition.PCA", lambda x: decomposition.PCA(2, svd_solver="full").fit_transform(x), (TABLE,)
    for name, model in [
        ("linear_model.Ridge", linear_model.Ridge(solver="svd")),
        ("discriminant_analysis.LinearDiscriminantAnalysis", discriminant_analysis.LinearDiscriminantAnalysis()),
        ("linear_model.LogisticRegression", linear_model.LogisticRegression()),
    ]:
        yield f"sklearn.{name}", lambda x, y, m=model: m.fit(x, y).predict(x), (TABLE, CLASSES)


def right(function, arguments):
    """Whether the function gives for our arrays what it gives for NumPy's; an array where NumPy's is one."""
    wanted = function(*arguments)
    made = function(*(xp.asarray(value) if isinstance(value, np.ndarray) else value for value in arguments))
    assert isinstance(made, xp.Array) or np.ndim(wanted) == 0, f"it gives {type(made).__name__}"
    return np.allclose(np.asarray(made, dtype=float), wanted, rtol=1e-6, atol=1e-9)


def main():
    warnings.simplefilter("ignore")  # theirs
    rows = list(scipy_functions())
    try:
        rows += sklearn_functions()
    except ImportError:
        print("scikit-learn is not installed")
    good = True
    for name, function, arguments in rows:
        try:
            answer = "right" if right(function, arguments) else "WRONG"
        except Exception as error:
            answer = f"FAILS: {type(error).__name__}: {str(error).splitlines()[0]}"
        good = good and answer == "right"
        print(f"{name:60} {answer}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
