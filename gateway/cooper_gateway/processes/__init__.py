"""The processes of one replica: supervisor, committer, watcher, workers; composed here from the packages below."""
