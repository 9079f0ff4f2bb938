"""One example of each WWKS2 message: its document in the shape of the manual, and its value."""

from datetime import date

from drivers.wwks2 import messages as wire

EXAMPLES: list[tuple[str, wire.Message]] = [
    (
        (
            '<HelloRequest Id="1001"><Subscriber Id="100" Type="IMS" Manufacturer="Maker"'
            ' ProductInfo="Product" VersionInfo="1.4" TenantId="T1"><Capability Name="KeepAlive"/>'
            '<Capability Name="Output"/></Subscriber></HelloRequest>'
        ),
        wire.HelloRequest(
            "1001",
            wire.Subscriber(100, "IMS", "Maker", "Product", "1.4", "T1", ("KeepAlive", "Output")),
        ),
    ),
    (
        (
            '<HelloResponse Id="1001"><Subscriber Id="999" Type="Robot" Manufacturer="Maker"'
            ' ProductInfo="Mosaic" VersionInfo=""/></HelloResponse>'
        ),
        wire.HelloResponse("1001", wire.Subscriber(999, "Robot", "Maker", "Mosaic")),
    ),
    (
        '<KeepAliveRequest Id="1003" Source="100" Destination="999"/>',
        wire.KeepAliveRequest("1003", 100, 999),
    ),
    (
        '<KeepAliveResponse Id="1003" Source="999" Destination="100"/>',
        wire.KeepAliveResponse("1003", 999, 100),
    ),
    (
        '<StatusRequest Id="1004" Source="100" Destination="999" IncludeDetails="True"/>',
        wire.StatusRequest("1004", 100, 999, include_details=True),
    ),
    (
        (
            '<StatusResponse Id="1004" Source="999" Destination="100" State="NotReady"'
            ' StateText="maintenance"><Component Type="StorageSystem" Description="Arm 1"'
            ' State="Ready"/><Component Type="BoxSystem" Description="" State="NotReady"'
            ' StateText="off"/></StatusResponse>'
        ),
        wire.StatusResponse(
            "1004",
            999,
            100,
            "NotReady",
            "maintenance",
            (
                wire.Component("StorageSystem", "Arm 1", "Ready"),
                wire.Component("BoxSystem", "", "NotReady", "off"),
            ),
        ),
    ),
    (
        (
            '<InputRequest Id="1002" Source="999" Destination="100" IsNewDelivery="True"'
            ' SetPickingIndicator="True"><Article><Pack Index="1" DeliveryNumber="D7"'
            ' BatchNumber="B1" ExternalId="X1" SerialNumber="S1" ExpiryDate="2027-10-31"'
            r' ScanCode="010007101552376\x1d10B1" SubItemQuantity="12" StockLocationId="L1"'
            ' MachineLocation="M1"/></Article></InputRequest>'
        ),
        wire.InputRequest(
            "1002",
            999,
            100,
            new_delivery=True,
            set_picking_indicator=True,
            articles=(
                wire.Article(
                    packs=(
                        wire.PackData(
                            index=1,
                            delivery="D7",
                            batch="B1",
                            external_id="X1",
                            serial="S1",
                            expiry=date(2027, 10, 31),
                            scan_code="010007101552376\x1d10B1",
                            sub_items=12,
                            stock_location="L1",
                            machine_location="M1",
                        ),
                    )
                ),
            ),
        ),
    ),
    (
        (
            '<InputResponse Id="1002" Source="100" Destination="999"><Article Id="00071015523"'
            ' Name="Name" DosageForm="TAB" PackagingUnit="90 EA" MaxSubItemQuantity="90">'
            '<Pack BatchNumber="B1" ExpiryDate="2027-10-31"><Handling Input="Allowed"'
            ' Text="ok"/></Pack></Article></InputResponse>'
        ),
        wire.InputResponse(
            "1002",
            100,
            999,
            articles=(
                wire.Article(
                    "00071015523",
                    "Name",
                    "TAB",
                    "90 EA",
                    90,
                    packs=(
                        wire.PackData(
                            batch="B1",
                            expiry=date(2027, 10, 31),
                            handling="Allowed",
                            handling_text="ok",
                        ),
                    ),
                ),
            ),
        ),
    ),
    (
        (
            '<InputMessage Id="1002" Source="999" Destination="100"><Article Id="A1"><Pack'
            ' Id="565362" StockInDate="2026-11-21" Depth="50" Width="40" Height="30"'
            ' Shape="Cylinder" State="NotAvailable" IsInFridge="True"><Handling Input="Completed"/>'
            "</Pack></Article></InputMessage>"
        ),
        wire.InputMessage(
            "1002",
            999,
            100,
            articles=(
                wire.Article(
                    "A1",
                    packs=(
                        wire.PackData(
                            id=565362,
                            stock_in=date(2026, 11, 21),
                            depth=50,
                            width=40,
                            height=30,
                            shape="Cylinder",
                            state="NotAvailable",
                            in_fridge=True,
                            handling="Completed",
                        ),
                    ),
                ),
            ),
        ),
    ),
    (
        (
            '<StockInfoRequest Id="1005" Source="100" Destination="999" IncludePacks="False"'
            ' IncludeArticleDetails="True"><Criteria ArticleId="A1"/></StockInfoRequest>'
        ),
        wire.StockInfoRequest(
            "1005",
            100,
            999,
            include_packs=False,
            include_article_details=True,
            criteria=(wire.Criteria("A1"),),
        ),
    ),
    (
        (
            '<StockInfoResponse Id="1005" Source="999" Destination="100"><Article Id="A1"'
            ' PackingUnit="90 EA" Quantity="2"><Pack Id="9223372036854775807"/><Pack Id="2"/>'
            "</Article></StockInfoResponse>"
        ),
        wire.StockInfoResponse(
            "1005",
            999,
            100,
            (
                wire.Article(
                    "A1",
                    packaging_unit="90 EA",
                    quantity=2,
                    packs=(wire.PackData(id=9223372036854775807), wire.PackData(id=2)),
                ),
            ),
        ),
    ),
    (
        (
            '<StockInfoMessage Id="1" Source="999" Destination="100"><Article Id="A1"/>'
            "</StockInfoMessage>"
        ),
        wire.StockInfoMessage("1", 999, 100, (wire.Article("A1"),)),
    ),
    (
        (
            '<OutputRequest Id="1006" Source="100" Destination="999" BoxNumber="12"><Details'
            ' Priority="High" OutputDestination="3" OutputPoint="2"/><Criteria ArticleId="A1"'
            ' Quantity="2" SubItemQuantity="5" MinimumExpiryDate="2027-01-01" BatchNumber="B1"'
            ' SingleBatchNumber="True" ExternalId="X" SerialNumber="S" PackId="77"'
            ' StockLocationId="L" MachineLocation="M"><Label TemplateId="34"><Content>'
            "<![CDATA[<name>a & b</name>]]></Content></Label></Criteria></OutputRequest>"
        ),
        wire.OutputRequest(
            "1006",
            100,
            999,
            wire.OutputDetails("High", 3, 2),
            (
                wire.Criteria(
                    "A1",
                    2,
                    5,
                    date(2027, 1, 1),
                    "B1",
                    single_batch=True,
                    external_id="X",
                    serial="S",
                    pack_id=77,
                    stock_location="L",
                    machine_location="M",
                    labels=(wire.Label("34", "<name>a & b</name>"),),
                ),
            ),
            "12",
        ),
    ),
    (
        (
            '<OutputResponse Id="1006" Source="999" Destination="100"><Details Priority="Normal"'
            ' OutputDestination="3" Status="Queued"/></OutputResponse>'
        ),
        wire.OutputResponse("1006", 999, 100, wire.OutputDetails("Normal", 3, 0, "Queued")),
    ),
    (
        (
            '<OutputMessage Id="1006" Source="999" Destination="100"><Details Priority="Normal"'
            ' OutputDestination="3" Status="Incomplete"/><Article Id="A1"><Pack Id="5637"'
            ' BoxNumber="12" OutputDestination="4" OutputPoint="1" LabelStatus="Labelled"/>'
            '</Article><Box Number="12"/></OutputMessage>'
        ),
        wire.OutputMessage(
            "1006",
            999,
            100,
            wire.OutputDetails("Normal", 3, 0, "Incomplete"),
            (
                wire.Article(
                    "A1",
                    packs=(
                        wire.PackData(
                            id=5637,
                            box="12",
                            output_destination=4,
                            output_point=1,
                            label_status="Labelled",
                        ),
                    ),
                ),
            ),
            ("12",),
        ),
    ),
    (
        (
            '<TaskInfoRequest Id="3330" Source="100" Destination="999" IncludeTaskDetails="True">'
            '<Task Type="Output" Id="1006"/></TaskInfoRequest>'
        ),
        wire.TaskInfoRequest("3330", 100, 999, (wire.Task("1006"),), include_details=True),
    ),
    (
        (
            '<TaskInfoResponse Id="3330" Source="999" Destination="100"><Task Type="Output"'
            ' Id="1006" Status="InProcess"><Box Number="1"/></Task></TaskInfoResponse>'
        ),
        wire.TaskInfoResponse(
            "3330", 999, 100, (wire.Task("1006", "Output", "InProcess", boxes=("1",)),)
        ),
    ),
    (
        (
            '<OutputInfoRequest Id="3331" Source="100" Destination="999"><Task Id="1006"/>'
            "</OutputInfoRequest>"
        ),
        wire.OutputInfoRequest("3331", 100, 999, (wire.Task("1006", ""),)),
    ),
    (
        (
            '<OutputInfoResponse Id="3331" Source="999" Destination="100"><Task Id="1006"'
            ' Status="Unknown"/></OutputInfoResponse>'
        ),
        wire.OutputInfoResponse("3331", 999, 100, (wire.Task("1006", "", "Unknown"),)),
    ),
    (
        (
            '<TaskCancelRequest Id="3335" Source="100" Destination="999"><Task Type="Output"'
            ' Id="1006"/></TaskCancelRequest>'
        ),
        wire.TaskCancelRequest("3335", 100, 999, (wire.Task("1006"),)),
    ),
    (
        (
            '<TaskCancelResponse Id="3335" Source="999" Destination="100"><Task Type="Output"'
            ' Id="1006" Status="Cancelled"/></TaskCancelResponse>'
        ),
        wire.TaskCancelResponse("3335", 999, 100, (wire.Task("1006", "Output", "Cancelled"),)),
    ),
    (
        (
            '<TaskCancelOutputRequest Id="3336" Source="100" Destination="999"><Task Id="1006"/>'
            "</TaskCancelOutputRequest>"
        ),
        wire.TaskCancelOutputRequest("3336", 100, 999, (wire.Task("1006", ""),)),
    ),
    (
        (
            '<TaskCancelOutputResponse Id="3336" Source="999" Destination="100"><Task Id="1006"'
            ' Status="CancelError"/></TaskCancelOutputResponse>'
        ),
        wire.TaskCancelOutputResponse("3336", 999, 100, (wire.Task("1006", "", "CancelError"),)),
    ),
    (
        (
            '<UnprocessedMessage Id="9" Source="999" Destination="100" Reason="NotSupported"'
            ' Text="no"><Message><![CDATA[<WWKS><A>]]]]><![CDATA[></A></WWKS>]]></Message>'
            "</UnprocessedMessage>"
        ),
        wire.UnprocessedMessage("9", 999, 100, "NotSupported", "no", "<WWKS><A>]]></A></WWKS>"),
    ),
    (
        '<ArticleInfoRequest Id="8" Source="999" Destination="100"/>',
        wire.UnknownMessage("8", 999, 100, "ArticleInfoRequest"),
    ),
    (
        (
            '<InitiateInputRequest Id="1003" Source="100" Destination="999" IsNewDelivery="True"'
            ' SetPickingIndicator="True"><Details InputSource="3" InputPoint="1"/><Article><Pack'
            ' Index="1" ScanCode="0107" DeliveryNumber="D7" Depth="50" Shape="Cylinder"/><Pack'
            ' ScanCode=""/></Article></InitiateInputRequest>'
        ),
        wire.InitiateInputRequest(
            "1003",
            100,
            999,
            new_delivery=True,
            articles=(
                wire.Article(
                    packs=(
                        wire.PackData(
                            index=1, scan_code="0107", delivery="D7", depth=50, shape="Cylinder"
                        ),
                        wire.PackData(),
                    )
                ),
            ),
            details=wire.InputDetails(3, 1),
            set_picking_indicator=True,
        ),
    ),
    (
        (
            '<InitiateInputResponse Id="1003" Source="999" Destination="100"><Details'
            ' InputSource="-3" Status="Accepted"/><Article Id="A1" Name="Name" DosageForm="LOE"'
            ' PackagingUnit="1X2.5 ML"><Pack ScanCode="0107"/></Article></InitiateInputResponse>'
        ),
        wire.InitiateInputResponse(
            "1003",
            999,
            100,
            articles=(
                wire.Article(
                    "A1", "Name", "LOE", "1X2.5 ML", packs=(wire.PackData(scan_code="0107"),)
                ),
            ),
            details=wire.InputDetails(-3, 0, "Accepted"),
        ),
    ),
    (
        (
            '<InitiateInputMessage Id="1003" Source="999" Destination="100"><Details'
            ' InputSource="0" Status="Incomplete"/><Article Id=""><Pack Index="1" Id="0"><Error'
            ' Type="Rejected" Text="forbidden"/></Pack><Pack Id="565362" BatchNumber="B1"/>'
            "</Article></InitiateInputMessage>"
        ),
        wire.InitiateInputMessage(
            "1003",
            999,
            100,
            articles=(
                wire.Article(
                    packs=(
                        wire.PackData(index=1, error="Rejected", error_text="forbidden"),
                        wire.PackData(id=565362, batch="B1"),
                    )
                ),
            ),
            details=wire.InputDetails(status="Incomplete"),
        ),
    ),
    (
        (
            '<ArticleMasterSetRequest Id="1003" Source="100" Destination="999"><Article Id="A1"'
            ' Name="Name" DosageForm="TAB" PackagingUnit="20" RequiresFridge="True"'
            ' MaxSubItemQuantity="20" StockLocationId="L" MachineLocation="M"/><Article Id="A2"/>'
            "</ArticleMasterSetRequest>"
        ),
        wire.ArticleMasterSetRequest(
            "1003",
            100,
            999,
            (
                wire.Article(
                    "A1",
                    "Name",
                    "TAB",
                    "20",
                    20,
                    requires_fridge=True,
                    stock_location="L",
                    machine_location="M",
                ),
                wire.Article("A2"),
            ),
        ),
    ),
    (
        (
            '<ArticleMasterSetResponse Id="1003" Source="999" Destination="100"><SetResult'
            ' Value="Accepted" Text="ok"/></ArticleMasterSetResponse>'
        ),
        wire.ArticleMasterSetResponse("1003", 999, 100, "Accepted", "ok"),
    ),
    (
        (
            '<StockDeliverySetRequest Id="1003" Source="100" Destination="999"><StockDelivery'
            ' DeliveryNumber="1234"><Article Id="A1" BatchNumber="B1" ExternalId="X1"'
            ' ExpiryDate="2027-04-05" Quantity="5"/></StockDelivery></StockDeliverySetRequest>'
        ),
        wire.StockDeliverySetRequest(
            "1003",
            100,
            999,
            (
                wire.Delivery(
                    "1234",
                    (
                        wire.Article(
                            "A1",
                            quantity=5,
                            batch="B1",
                            external_id="X1",
                            expiry=date(2027, 4, 5),
                        ),
                    ),
                ),
            ),
        ),
    ),
    (
        (
            '<StockDeliverySetResponse Id="1003" Source="999" Destination="100"><SetResult'
            ' Value="Rejected"/></StockDeliverySetResponse>'
        ),
        wire.StockDeliverySetResponse("1003", 999, 100, "Rejected"),
    ),
    (
        '<ConfigurationGetRequest Id="3335" Source="100" Destination="999"/>',
        wire.ConfigurationGetRequest("3335", 100, 999),
    ),
    (
        (
            '<ConfigurationGetResponse Id="3335" Source="999" Destination="100"><Configuration>'
            '<![CDATA[<ConfigurationValue Name="a" Value="b"/>]]></Configuration>'
            "</ConfigurationGetResponse>"
        ),
        wire.ConfigurationGetResponse("3335", 999, 100, '<ConfigurationValue Name="a" Value="b"/>'),
    ),
    (
        '<StockLocationInfoRequest Id="3335" Source="100" Destination="999"/>',
        wire.StockLocationInfoRequest("3335", 100, 999),
    ),
    (
        (
            '<StockLocationInfoResponse Id="3335" Source="999" Destination="100"><StockLocation'
            ' Id="463563" Description="Narcotics"/><StockLocation Id="7"/>'
            "</StockLocationInfoResponse>"
        ),
        wire.StockLocationInfoResponse(
            "3335", 999, 100, (wire.StockLocation("463563", "Narcotics"), wire.StockLocation("7"))
        ),
    ),
]
