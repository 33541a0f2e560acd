"""Git: reading a repository, staging in it, and writing its ignore rules.  The only room that knows pygit2."""

from vstore.git.commit import Commit
from vstore.git.repo import GitRepo, find_git_repo, get_git_repo

__all__ = ["Commit", "GitRepo", "find_git_repo", "get_git_repo"]
