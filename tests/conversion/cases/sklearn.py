"""scikit-learn: estimators, transformers and pipelines."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn import (
    base,
    calibration,
    cluster,
    compose,
    cross_decomposition,
    datasets,
    decomposition,
    discriminant_analysis,
    ensemble,
    exceptions,
    feature_extraction,
    feature_selection,
    gaussian_process,
    impute,
    linear_model,
    mixture,
    model_selection,
    multiclass,
    multioutput,
    naive_bayes,
    neighbors,
    neural_network,
    pipeline,
    preprocessing,
    random_projection,
    svm,
    tree,
)

from conversion.cases import Case

Build = Callable[[], tuple[Any, dict[str, Any]]]


def cancer() -> tuple[Any, Any]:
    """569 rows, 30 columns, two classes."""
    return datasets.load_breast_cancer(return_X_y=True)


def wine() -> tuple[Any, Any]:
    """178 rows, 13 columns, three classes with names."""
    data = datasets.load_wine()
    return data.data, data.target_names[data.target]


def iris() -> tuple[Any, Any]:
    """150 rows, 4 columns, three classes."""
    return datasets.load_iris(return_X_y=True)


def diabetes() -> tuple[Any, Any]:
    """442 rows, 10 columns, a number."""
    return datasets.load_diabetes(return_X_y=True)


def gaps(values: Any, share: float = 0.05) -> Any:
    """A copy with NaN in some places."""
    rng = np.random.default_rng(0)
    return np.where(rng.random(values.shape) < share, np.nan, values)


def people(rows: int = 400) -> tuple[Any, Any]:
    """A frame with strings, numbers and missing values of both, and a class."""
    import pandas

    rng = np.random.default_rng(0)
    town = rng.choice(["Bern", "Zürich", "Genève"], rows).astype(object)
    job = rng.choice(["smith", "nurse", "clerk"], rows).astype(object)
    age = rng.integers(18, 80, rows).astype(float)
    income = rng.lognormal(8, 1, rows)
    answer = np.where((age > 40) & (town == "Bern") | (income > 6000), "yes", "no")
    job[rng.random(rows) < 0.1] = np.nan
    age[rng.random(rows) < 0.1] = np.nan
    return pandas.DataFrame({"age": age, "income": income, "town": town, "job": job}), answer


def texts() -> tuple[Any, Any]:
    """Lines of the descriptions of data sets, and which one each is of."""
    found = {n: getattr(datasets, f"load_{n}")().DESCR.splitlines() for n in ("iris", "wine", "diabetes")}
    lines = [(line.strip(), name) for name, described in found.items() for line in described if len(line.split()) > 3]
    return [line for line, _ in lines], [name for _, name in lines]


def fitted(estimator: Any, load: Callable[[], tuple[Any, Any]]) -> Build:
    """A case's builder: fits on a data set."""

    def build() -> tuple[Any, dict[str, Any]]:
        x, y = load()
        with warnings.catch_warnings():  # few steps, so that training is quick
            warnings.simplefilter("ignore", exceptions.ConvergenceWarning)
            return base.clone(estimator).fit(x, y), {}

    return build


def _classifiers() -> dict[str, Any]:
    rng = 0
    return {
        "LogisticRegression": linear_model.LogisticRegression(max_iter=200),
        "LogisticRegressionCV": pipeline.make_pipeline(
            preprocessing.StandardScaler(), linear_model.LogisticRegressionCV(Cs=3, cv=3)
        ),
        "SGDClassifier log": pipeline.make_pipeline(
            preprocessing.StandardScaler(), linear_model.SGDClassifier(loss="log_loss", random_state=rng)
        ),
        "Perceptron": linear_model.Perceptron(random_state=rng),
        "RidgeClassifier": linear_model.RidgeClassifier(),
        "LinearSVC": svm.LinearSVC(random_state=rng),
        "SVC rbf": svm.SVC(),
        "SVC with probabilities": svm.SVC(probability=True, random_state=rng),
        "NuSVC": svm.NuSVC(nu=0.2),
        "KNeighborsClassifier": neighbors.KNeighborsClassifier(),
        "RadiusNeighborsClassifier": neighbors.RadiusNeighborsClassifier(radius=1000),
        "DecisionTreeClassifier": tree.DecisionTreeClassifier(random_state=rng),
        "ExtraTreeClassifier": tree.ExtraTreeClassifier(random_state=rng),
        "RandomForestClassifier": ensemble.RandomForestClassifier(50, random_state=rng),
        "ExtraTreesClassifier": ensemble.ExtraTreesClassifier(50, random_state=rng),
        "GradientBoostingClassifier": ensemble.GradientBoostingClassifier(n_estimators=30, random_state=rng),
        "HistGradientBoostingClassifier": ensemble.HistGradientBoostingClassifier(max_iter=30, random_state=rng),
        "AdaBoostClassifier": ensemble.AdaBoostClassifier(n_estimators=20, random_state=rng),
        "BaggingClassifier": ensemble.BaggingClassifier(random_state=rng, max_features=0.5),
        "GaussianNB": naive_bayes.GaussianNB(),
        "BernoulliNB": naive_bayes.BernoulliNB(binarize=1.0),
        "MultinomialNB": naive_bayes.MultinomialNB(),
        "ComplementNB": naive_bayes.ComplementNB(),
        "LinearDiscriminantAnalysis": discriminant_analysis.LinearDiscriminantAnalysis(),
        "QuadraticDiscriminantAnalysis": discriminant_analysis.QuadraticDiscriminantAnalysis(reg_param=0.1),
        "MLPClassifier": pipeline.make_pipeline(
            preprocessing.StandardScaler(), neural_network.MLPClassifier((20,), max_iter=100, random_state=rng)
        ),
        "CalibratedClassifierCV": calibration.CalibratedClassifierCV(linear_model.LogisticRegression(max_iter=200)),
        "OneVsRestClassifier": multiclass.OneVsRestClassifier(linear_model.LogisticRegression(max_iter=200)),
        "OneVsOneClassifier": multiclass.OneVsOneClassifier(linear_model.LogisticRegression(max_iter=200)),
        "VotingClassifier": ensemble.VotingClassifier(
            [
                ("a", linear_model.LogisticRegression(max_iter=200)),
                ("b", tree.DecisionTreeClassifier(max_depth=3)),
            ],
            voting="soft",
        ),
        "StackingClassifier": ensemble.StackingClassifier(
            [("a", naive_bayes.GaussianNB()), ("b", tree.DecisionTreeClassifier(max_depth=3, random_state=rng))],
            cv=3,
        ),
        "GridSearchCV of a pipeline": model_selection.GridSearchCV(
            pipeline.make_pipeline(preprocessing.StandardScaler(), linear_model.LogisticRegression()),
            {"logisticregression__C": [0.1, 1.0]},
            cv=3,
        ),
    }


def _regressors() -> dict[str, Any]:
    rng = 0
    return {
        "LinearRegression": linear_model.LinearRegression(),
        "Ridge": linear_model.Ridge(),
        "Lasso": linear_model.Lasso(0.1),
        "ElasticNet": linear_model.ElasticNet(0.1),
        "BayesianRidge": linear_model.BayesianRidge(),
        "HuberRegressor": linear_model.HuberRegressor(max_iter=1000),
        "PoissonRegressor": linear_model.PoissonRegressor(),
        "TweedieRegressor": linear_model.TweedieRegressor(power=1.5),
        "GammaRegressor": linear_model.GammaRegressor(),
        "QuantileRegressor": linear_model.QuantileRegressor(alpha=0.01),
        "SGDRegressor": linear_model.SGDRegressor(random_state=rng),
        "RANSACRegressor": linear_model.RANSACRegressor(random_state=rng),
        "SVR": svm.SVR(C=100),
        "NuSVR": svm.NuSVR(C=100),
        "LinearSVR": svm.LinearSVR(C=10, random_state=rng, max_iter=10000),
        "KNeighborsRegressor": neighbors.KNeighborsRegressor(weights="distance"),
        "RadiusNeighborsRegressor": neighbors.RadiusNeighborsRegressor(radius=0.5),
        "DecisionTreeRegressor": tree.DecisionTreeRegressor(random_state=rng),
        "RandomForestRegressor": ensemble.RandomForestRegressor(50, random_state=rng),
        "ExtraTreesRegressor": ensemble.ExtraTreesRegressor(30, random_state=rng),
        "GradientBoostingRegressor": ensemble.GradientBoostingRegressor(n_estimators=50, random_state=rng),
        "HistGradientBoostingRegressor": ensemble.HistGradientBoostingRegressor(max_iter=50, random_state=rng),
        "AdaBoostRegressor": ensemble.AdaBoostRegressor(n_estimators=20, random_state=rng),
        "BaggingRegressor": ensemble.BaggingRegressor(random_state=rng),
        "GaussianProcessRegressor": gaussian_process.GaussianProcessRegressor(alpha=1.0),
        "MLPRegressor": neural_network.MLPRegressor(hidden_layer_sizes=(20,), max_iter=300, random_state=rng),
        "PLSRegression": cross_decomposition.PLSRegression(3),
        "VotingRegressor": ensemble.VotingRegressor(
            [("a", linear_model.Ridge()), ("b", tree.DecisionTreeRegressor(max_depth=4))]
        ),
        "StackingRegressor": ensemble.StackingRegressor(
            [("a", linear_model.Ridge()), ("b", tree.DecisionTreeRegressor(max_depth=4, random_state=rng))], cv=3
        ),
    }


def _transformers() -> dict[str, Any]:
    rng = 0
    return {
        "StandardScaler": preprocessing.StandardScaler(),
        "MinMaxScaler": preprocessing.MinMaxScaler(),
        "MinMaxScaler with clip": preprocessing.MinMaxScaler(clip=True),
        "MaxAbsScaler": preprocessing.MaxAbsScaler(),
        "RobustScaler": preprocessing.RobustScaler(),
        "Normalizer": preprocessing.Normalizer(),
        "Binarizer": preprocessing.Binarizer(threshold=1.5),
        "PowerTransformer": preprocessing.PowerTransformer(),
        "QuantileTransformer": preprocessing.QuantileTransformer(n_quantiles=20),
        "KBinsDiscretizer": preprocessing.KBinsDiscretizer(5, encode="onehot-dense"),
        "KBinsDiscretizer ordinal": preprocessing.KBinsDiscretizer(5, encode="ordinal"),
        "PolynomialFeatures": preprocessing.PolynomialFeatures(2),
        "PCA": decomposition.PCA(3, whiten=True),
        "IncrementalPCA": decomposition.IncrementalPCA(3),
        "KernelPCA": decomposition.KernelPCA(3, kernel="rbf"),
        "TruncatedSVD": decomposition.TruncatedSVD(2, random_state=rng),
        "GaussianRandomProjection": random_projection.GaussianRandomProjection(3, random_state=rng),
        "SelectKBest": feature_selection.SelectKBest(k=2),
        "VarianceThreshold": feature_selection.VarianceThreshold(0.3),
        "SelectFromModel": feature_selection.SelectFromModel(tree.DecisionTreeClassifier(random_state=rng)),
        "RFE": feature_selection.RFE(linear_model.LogisticRegression(max_iter=1000), n_features_to_select=2),
        "FeatureUnion": pipeline.FeatureUnion([("a", decomposition.PCA(2)), ("b", preprocessing.StandardScaler())]),
        "NeighborhoodComponentsAnalysis": neighbors.NeighborhoodComponentsAnalysis(2, random_state=rng),
        "KMeans": cluster.KMeans(4, n_init=1, random_state=rng),
        "MiniBatchKMeans": cluster.MiniBatchKMeans(4, n_init=1, random_state=rng),
        "GaussianMixture": mixture.GaussianMixture(3, random_state=rng),
        "BayesianGaussianMixture": mixture.BayesianGaussianMixture(n_components=3, random_state=rng),
        "IsolationForest": ensemble.IsolationForest(n_estimators=20, random_state=rng),
        "OneClassSVM": svm.OneClassSVM(nu=0.2),
        "SGDOneClassSVM": linear_model.SGDOneClassSVM(random_state=rng),
        "LocalOutlierFactor": neighbors.LocalOutlierFactor(novelty=True),
    }


def _missing() -> dict[str, Any]:
    rng = 0
    return {
        "SimpleImputer": impute.SimpleImputer(),
        "KNNImputer": impute.KNNImputer(),
        "SimpleImputer, RandomForest": pipeline.make_pipeline(
            impute.SimpleImputer(strategy="median"), ensemble.RandomForestClassifier(30, random_state=rng)
        ),
        "SimpleImputer, StandardScaler, LogisticRegression": pipeline.make_pipeline(
            impute.SimpleImputer(), preprocessing.StandardScaler(), linear_model.LogisticRegression()
        ),
        "HistGradientBoosting with missing values": ensemble.HistGradientBoostingClassifier(max_iter=30),
        "DecisionTree with missing values": tree.DecisionTreeClassifier(random_state=rng),
        "RandomForest with missing values": ensemble.RandomForestClassifier(30, random_state=rng),
    }


def _mixed(last: Any) -> Any:
    numbers = pipeline.make_pipeline(impute.SimpleImputer(strategy="median"), preprocessing.StandardScaler())
    words = pipeline.make_pipeline(
        impute.SimpleImputer(strategy="most_frequent"), preprocessing.OneHotEncoder(handle_unknown="ignore")
    )
    columns = compose.ColumnTransformer(
        [
            ("numbers", numbers, ["age", "income"]),
            ("town", preprocessing.OneHotEncoder(handle_unknown="ignore"), ["town"]),
            ("job", words, ["job"]),
        ]
    )
    return pipeline.Pipeline([("columns", columns), ("model", last)])


def _several(estimator: Any, classes: bool = False) -> Build:
    def build() -> tuple[Any, dict[str, Any]]:
        x, y = diabetes()
        two = np.stack([y, y[::-1]], axis=1)
        return estimator.fit(x, (two > 140).astype(int) if classes else two), {}

    return build


def _text(*steps: Any) -> Build:
    return lambda: (pipeline.make_pipeline(*steps).fit(*texts()), {})


def _ordinal() -> tuple[Any, dict[str, Any]]:
    frame, y = people()
    encoder = preprocessing.OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    columns = compose.ColumnTransformer([("words", encoder, ["town"])], remainder="passthrough")
    steps = [("columns", columns), ("trees", ensemble.HistGradientBoostingClassifier(max_iter=20))]
    return pipeline.Pipeline(steps).fit(frame[["town", "age", "income"]], y), {}


_NEAR = "RadiusNeighborsClassifier"  # which rows of two classes are too far from all others to be told apart

CASES = [
    *(Case(f"{name}, two classes", fitted(e, cancer)) for name, e in _classifiers().items() if name != _NEAR),
    *(Case(f"{name}, named classes", fitted(e, wine)) for name, e in _classifiers().items()),
    *(Case(name, fitted(e, diabetes)) for name, e in _regressors().items()),
    *(Case(name, fitted(e, iris)) for name, e in _transformers().items()),
    *(Case(name, fitted(e, lambda: (gaps(iris()[0]), iris()[1]))) for name, e in _missing().items()),
    Case("strings and missing values, LogisticRegression", fitted(_mixed(linear_model.LogisticRegression()), people)),
    Case(
        "strings and missing values, RandomForest",
        fitted(_mixed(ensemble.RandomForestClassifier(30, random_state=0)), people),
    ),
    Case("OrdinalEncoder, HistGradientBoosting", _ordinal),
    Case("LinearRegression, two outputs", _several(linear_model.LinearRegression())),
    Case("RandomForestRegressor, two outputs", _several(ensemble.RandomForestRegressor(20, random_state=0))),
    Case("MultiOutputRegressor", _several(multioutput.MultiOutputRegressor(linear_model.Ridge()))),
    Case("MultiOutputClassifier", _several(multioutput.MultiOutputClassifier(linear_model.LogisticRegression()), True)),
    Case("MultiTaskLasso", _several(linear_model.MultiTaskLasso(0.1))),
    Case(
        "CountVectorizer, MultinomialNB", _text(feature_extraction.text.CountVectorizer(), naive_bayes.MultinomialNB())
    ),
    Case(
        "TfidfVectorizer, LogisticRegression",
        _text(feature_extraction.text.TfidfVectorizer(), linear_model.LogisticRegression()),
    ),
    Case(
        "TfidfVectorizer with pairs of words, LinearSVC",
        _text(feature_extraction.text.TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), svm.LinearSVC()),
    ),
]
