"""The mesh organ: the libp2p node, pubsub, DHT and request streams; alone in importing libp2p and trio."""
