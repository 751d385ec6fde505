"""Events seen through a response: the light of components, what it becomes at events, and the models of them."""
