"""Git: reading a repository, staging in it, and writing its ignore rules.  The only room that knows pygit2."""

from vstore.git.browsing import Kept, list_kept
from vstore.git.clones import Clone, check_git_url, is_git_url, open_clone, remove_clones
from vstore.git.commit import Commit
from vstore.git.repo import GitRepo, find_git_repo, get_git_repo

__all__ = [
    "Clone",
    "Commit",
    "GitRepo",
    "Kept",
    "check_git_url",
    "find_git_repo",
    "get_git_repo",
    "is_git_url",
    "list_kept",
    "open_clone",
    "remove_clones",
]
