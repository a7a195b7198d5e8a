from . import artifacts as artifacts
from . import clustering as clustering
from . import config as config
from . import graph as graph
from . import retrieval as retrieval
from .clustering.agreement import PairQuality as PairQuality
from .clustering.agreement import pair_quality as pair_quality
from .clustering.dbscan import dbscan as dbscan
from .clustering.from_features import FeatureClusters as FeatureClusters
from .clustering.from_features import cluster_features as cluster_features
from .clustering.health import ClusterHealth as ClusterHealth
from .clustering.health import cluster_health as cluster_health
from .data.image_paths import image_paths as image_paths
from .errors import UserError as UserError
from .graph.approximate import approximate_knn as approximate_knn
from .graph.cameras import center_cameras as center_cameras
from .graph.cameras import standardize_cameras as standardize_cameras
from .graph.jaccard import jaccard_distance as jaccard_distance
from .graph.neighbors import knn as knn
from .inference.embedder import Embedder as Embedder
from .inference.embedder import load_model as load_model
from .inference.search import search as search
from .retrieval.evaluation import Evaluation as Evaluation
from .retrieval.evaluation import evaluate as evaluate
from .retrieval.reranking import rerank as rerank

__version__: str
