"""Several files read together: paths of earlier rounds, answers saved elsewhere, two results compared; and lines of any
stage, told apart."""
