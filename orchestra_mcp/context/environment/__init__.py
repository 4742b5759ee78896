"""What kind of project it is: manifests, lock files, how tests are run, its own instructions. Pure."""
