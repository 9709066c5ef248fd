"""A laboratory of network namespaces: an underlay, nodes that run weftd, workloads behind them.

    namespace   one network namespace: run programs in it, open sockets in it
    underlay    subnets (bridges), the router between them
    node        a node: its underlay link, its weftd, its workloads
    bird        a node's BIRD: its sessions, its process
    tor         another router with BGP: FRR, GoBGP
    ping        echo requests of a chosen size, from any namespace
    watch       every packet that crosses the underlay, counted once, told apart by encapsulation
    traffic     continuous streams between workloads, every lost packet counted
    kernel      what a node's kernel holds: routes, neighbours, FDB, nexthops, and what changes in it
    lab         all of it together: what a scenario is given
    runner      runs the scenarios of one suite
"""
