"""Several files read together: paths of earlier rounds, answers saved elsewhere, results side by side."""
